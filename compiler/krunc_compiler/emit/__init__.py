"""Plans for the engines that people have: systemd units, job scripts, manifests."""
