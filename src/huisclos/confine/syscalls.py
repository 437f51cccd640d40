"""System call numbers by name, for the filters of `confine` (Linux; x86-64 and arm64 have different ones)."""

from __future__ import annotations

from typing import Final

# Name, number on x86-64, number on arm64; -1 where that machine has no such call.
_TABLE: Final = """
accept 43 202; accept4 288 242; acct 163 89; add_key 248 217; adjtimex 159 171; alarm 37 -1; bind 49 200;
bpf 321 280; brk 12 214; capset 126 91; chmod 90 -1; chown 92 -1; chroot 161 51; clock_adjtime 305 266;
clock_getres 229 114; clock_gettime 228 113; clock_nanosleep 230 115; clock_settime 227 112;
clone 56 220; clone3 435 435; close 3 57; connect 42 203; creat 85 -1; delete_module 176 106;
execve 59 221; execveat 322 281; exit 60 93; exit_group 231 94; fchmodat 268 53; fchownat 260 54;
finit_module 313 273; fork 57 -1; fsmount 432 432; fsopen 430 430; fstat 5 80; futex 202 98;
getpid 39 172; getrandom 318 278; getrusage 98 165; gettid 186 178; gettimeofday 96 169;
init_module 175 105; io_uring_enter 426 426; io_uring_register 427 427; io_uring_setup 425 425;
ioperm 173 -1; iopl 172 -1; kcmp 312 272; kexec_file_load 320 294; kexec_load 246 104; keyctl 250 219;
kill 62 129; link 86 -1; linkat 265 37; listen 50 201; lookup_dcookie 212 18; lseek 8 62; madvise 28 233;
membarrier 324 283; memfd_create 319 279; mknod 133 -1; mknodat 259 33; mmap 9 222; modify_ldt 154 -1;
mount 165 40; move_mount 429 429; mprotect 10 226; mremap 25 216; munmap 11 215;
name_to_handle_at 303 264; nanosleep 35 101; nfsservctl 180 42; open 2 -1; open_by_handle_at 304 265;
open_tree 428 428; openat 257 56; openat2 437 437; perf_event_open 298 241; personality 135 92;
pidfd_getfd 438 438; pivot_root 155 41; poll 7 -1; ppoll 271 73; prctl 157 167; pread64 17 67;
process_madvise 440 440; process_vm_readv 310 270; process_vm_writev 311 271; pselect6 270 72;
ptrace 101 117; quotactl 179 60; read 0 63; readv 19 65; reboot 169 142; recvfrom 45 207; rename 82 -1;
renameat 264 38; renameat2 316 276; request_key 249 218; restart_syscall 219 128; rseq 334 293;
rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; sched_getaffinity 204 123;
sched_yield 24 124; seccomp 317 277; select 23 -1; sendto 44 206; set_robust_list 273 99;
setdomainname 171 162; setgid 106 144; setgroups 116 159; sethostname 170 161; setitimer 38 103;
setns 308 268; setregid 114 143; setresgid 119 149; setresuid 117 147; setreuid 113 145;
settimeofday 164 170; setuid 105 146; sigaltstack 131 132; socket 41 198; socketpair 53 199;
swapoff 168 225; swapon 167 224; symlink 88 -1; symlinkat 266 36; sysinfo 99 179; syslog 103 116;
tgkill 234 131; time 201 -1; tkill 200 130; truncate 76 45; umount2 166 39; uname 63 160; unlink 87 -1;
unlinkat 263 35; unshare 272 97; userfaultfd 323 282; vfork 58 -1; vhangup 153 58; write 1 64;
writev 20 66
"""

NUMBERS: Final[dict[str, dict[str, int]]] = {"x86_64": {}, "aarch64": {}}
"""By machine, as `platform.machine` names it, then by name."""

for _row in _TABLE.replace("\n", " ").split(";"):
    _name, _x86, _arm = _row.split()
    for _machine, _number in (("x86_64", _x86), ("aarch64", _arm)):
        if int(_number) >= 0:
            NUMBERS[_machine][_name] = int(_number)

EXEC: Final = ("execve", "execveat")
"""Becoming another program."""
SPY: Final = ("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise")
"""Looking into other processes."""
NETWORK: Final = ("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4")
"""Reaching out or being reached; sockets already open go on working."""
KERNEL: Final = (
    *(
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "unshare",
        "setns",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsmount",
    ),
    *("bpf", "perf_event_open", "keyctl", "add_key", "request_key", "kexec_load", "kexec_file_load"),
    *(
        "init_module",
        "finit_module",
        "delete_module",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
    ),
    *("userfaultfd", "reboot", "swapon", "swapoff", "acct", "settimeofday", "clock_settime", "clock_adjtime"),
    *("adjtimex", "open_by_handle_at", "lookup_dcookie", "quotactl", "nfsservctl", "personality", "iopl"),
    *("ioperm", "modify_ldt", "sethostname", "setdomainname", "syslog", "vhangup"),
)
"""What no process of the house ever asks of the kernel, and attacks on kernels are made of."""
FILES: Final = (
    *("open", "openat", "openat2", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link"),
    *(
        "linkat",
        "symlink",
        "symlinkat",
        "mknod",
        "mknodat",
        "chmod",
        "fchmodat",
        "chown",
        "fchownat",
        "truncate",
    ),
    "memfd_create",
)
"""Opening or changing files by name; files already open go on working."""
IDENTITY: Final = (
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset"),
)
"""Becoming another user."""
COMPUTE: Final = (
    *(
        "read",
        "write",
        "readv",
        "writev",
        "recvfrom",
        "sendto",
        "close",
        "fstat",
        "lseek",
        "poll",
        "ppoll",
        "select",
    ),
    *("pselect6", "mmap", "mprotect", "munmap", "mremap", "madvise", "brk", "rt_sigaction", "rt_sigprocmask"),
    *("rt_sigreturn", "sigaltstack", "futex", "sched_yield", "sched_getaffinity", "getpid", "gettid"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom"),
    *("exit", "exit_group", "restart_syscall", "rseq", "set_robust_list", "membarrier", "uname", "sysinfo"),
    "getrusage",
)
"""All that a process needs to compute on what it already holds, and to answer."""
