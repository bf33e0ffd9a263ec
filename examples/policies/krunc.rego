# A policy for conftest (https://www.conftest.dev), over a plan's JSON as it is:
#
#   conftest test --policy examples/policies boxes/*.plan.json
#
# and over a review's JSON, in which what is reached has been read off the operations:
#
#   krunc show web.plan.json --format json | conftest test --policy examples/policies -
package main

import rego.v1

# Plans.
shared := {"krun_set_root", "krun_add_virtiofs", "krun_add_virtiofs2", "krun_add_virtiofs3", "krun_add_virtiofs4"}

deny contains message if {
	some operation in input.operations
	operation.call in shared
	not object.get(operation.args, "read_only", false)
	path := object.get(operation.args, "path", object.get(operation.args, "root_path", ""))
	startswith(concat("", [path, "/"]), "/etc/")
	message := sprintf("%s: %s cannot be shared writable", [operation.from, path])
}

deny contains message if {
	some operation in input.operations
	operation.implicit == "vsock_with_tsi"
	message := sprintf("%s: the guest reaches the host's network (TSI)", [operation.from])
}

deny contains message if {
	some operation in input.operations
	operation.call == "krun_add_vsock"
	count(operation.args.tsi_features) > 0
	message := sprintf("%s: the guest reaches the host's network (TSI)", [operation.from])
}

deny contains message if {
	some operation in input.operations
	operation.call == "krun_set_vm_config"
	operation.args.ram_mib > 8192
	message := sprintf("%s: more than 8 GiB of memory", [operation.from])
}

# Reviews.
deny contains message if {
	some fact in input.host_access
	some reach in fact.reach
	reach.verb == "network"
	reach.noun == "TSI"
	message := sprintf("%v: the guest reaches the host's network (TSI)", [fact.from])
}
