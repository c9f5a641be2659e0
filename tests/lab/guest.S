# A guest of 512 bytes: as --32 -o guest.o guest.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o guest.img guest.o
#
# Fills every page of its memory with something that is not zero (a zero page travels as nine bytes and makes every
# measured bandwidth a lie), then prints a hexadecimal counter on COM1 at every BIOS tick (55 ms). Its keyboard is
# polled, so that virDomainSendKey sets what it does: I idles, B burns, D dirties memory as fast as it can, 1 to 9
# dirty 2^n pages per tick, F1 to F10 work for a share of each tick that grows with n. At each tick it looks whether its
# power button was pressed, and then goes off by itself. One continuous counter across migrations means that it ran once, with its state.
.code16
.globl _start
_start: cli; xor %ax,%ax; mov %ax,%ds; mov %ax,%ss; mov $0x7000,%sp
    lgdt gdtr; mov %cr0,%eax; or $1,%al; mov %eax,%cr0          # unreal mode: FS reaches 4 GiB
    mov $8,%bx; mov %bx,%fs; and $0xfe,%al; mov %eax,%cr0; xor %bx,%bx; mov %bx,%fs
    in $0x21,%al; or $2,%al; out %al,$0x21; sti                 # IRQ 1 masked: the keyboard is polled
    mov $0xe801,%ax; int $0x15                                  # AX KiB below 16 MiB, BX 64-KiB blocks above
    movzx %ax,%eax; movzx %bx,%ebx; shl $6,%ebx; add %ebx,%eax; shl $10,%eax; add $0xf0000,%eax; mov %eax,end
    mov $0x100000,%edi
fill: mov %edi,%fs:(%edi); add $4096,%edi; cmp end,%edi; jb fill # every page non-zero and distinct
    movl $0x100000,where
    mov $0x602,%dx; mov $0x100,%ax; out %ax,%dx                 # ACPI PM1: the power button may be seen
main: in $0x64,%al; test $1,%al; jz nokey; in $0x60,%al; test $0x80,%al; jnz nokey; mov %al,mode
nokey: mov 0x46c,%ax; cmp lasttick,%ax; je same                 # BIOS tick: 18.2 a second
    mov %ax,lasttick; incl count; call beat
    mov $0x600,%dx; in %dx,%ax; test $1,%ah; jz 1f              # it was pressed: soft off
    mov $0x604,%dx; mov $0x2000,%ax; out %ax,%dx
1:
    mov mode,%cl; cmp $0x3b,%cl; jb 1f; cmp $0x44,%cl; jbe work
1:  cmp $2,%cl; jb same; cmp $10,%cl; ja same                   # keys 1..9 have scan codes 2..10
    dec %cl; mov $1,%si; shl %cl,%si
again: call dirty; dec %si; jnz again
    jmp same
work: sub $0x3a,%cl; movzx %cl,%ecx; shl $19,%ecx              # F1..F10: so many half million turns a tick
turn: dec %ecx; jnz turn
same: cmpb $0x30,mode; je main                                  # B: burn
    cmpb $0x20,mode; jne sleep; call dirty; jmp main            # D: dirty at full speed
sleep: hlt; jmp main
dirty: mov where,%edi; incl %fs:4(%edi); add $4096,%edi; cmp end,%edi; jb 1f; mov $0x100000,%edi
1:  mov %edi,where; ret
beat: mov count,%eax; mov $8,%cx
1:  rol $4,%eax; push %eax; and $0xf,%al; add $'0',%al; cmp $'9',%al; jbe 2f; add $7,%al
2:  call putc; pop %eax; loop 1b
    mov $'\n',%al
putc: push %dx; push %ax; mov $0x3fd,%dx
3:  in %dx,%al; test $0x20,%al; jz 3b
    pop %ax; mov $0x3f8,%dx; out %al,%dx; pop %dx; ret
.align 8
gdt: .quad 0, 0x00cf92000000ffff
gdtr: .word 15; .long gdt
mode: .byte 0
lasttick: .word 0
count: .long 0
end: .long 0
where: .long 0
.org 510; .word 0xaa55
