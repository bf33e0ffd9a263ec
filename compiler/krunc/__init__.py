"""The command krunc: hands launch to the launcher and everything else to the compiler."""
