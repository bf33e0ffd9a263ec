/* Keeps the branches of KVM's code as they are, for as long as the emulated machine lives.
 *
 * KVM patches its own code and the scheduler's when the first VM comes or the last one goes, and with
 * each virtual CPU whose local APIC is off or missing, as it is until a guest turns it on (static keys:
 * preempt_notifier_key, apic_sw_disabled, apic_hw_disabled and kvm_has_noapic_vcpu of Linux 6.1's
 * virt/kvm and arch/x86/kvm/lapic.c). QEMU 7.2 with a thread per processor does not always see such a
 * patch: the other processor then stays in a breakpoint that is no longer there (a soft lockup in
 * __apic_accept_irq, with every second look at it the other bytes). What one VM holds here no other
 * changes: no code is patched any more. */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Calls an ioctl that must succeed. */
static int call(int fd, unsigned long request, unsigned long argument, const char *name)
{
	int result = ioctl(fd, request, argument);
	if (result < 0)
		err(1, "keep_branches: %s", name);
	return result;
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		err(1, "keep_branches: /dev/kvm");
	int vm = call(kvm, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
#ifdef __x86_64__
	/* One without a local APIC, */
	call(vm, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
	vm = call(kvm, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
	call(vm, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
	/* one whose APIC is off by its own register, as it is at first, */
	call(vm, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
	/* and one whose APIC is off by the processor's (bit 11 of IA32_APIC_BASE). */
	int cpu = call(vm, KVM_CREATE_VCPU, 1, "KVM_CREATE_VCPU");
	struct kvm_sregs registers;
	call(cpu, KVM_GET_SREGS, (unsigned long)&registers, "KVM_GET_SREGS");
	registers.apic_base &= ~(1ULL << 11);
	call(cpu, KVM_SET_SREGS, (unsigned long)&registers, "KVM_SET_SREGS");
#endif
	switch (fork()) {
	case -1:
		err(1, "keep_branches: fork");
	case 0:
		for (;;)
			pause();
	}
	return 0;
}
