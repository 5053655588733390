"""The process in which mutants are read: its memory is limited, and what would start a program is seen.

    python tests/fuzz/fuzz_worker.py FOLDER

For each line `family first last` on stdin it says `begin NUMBER KIND` and `end OUTCOME` for each mutant (`fail` and a
reason in JSON, where something escaped), and `done` after the last; what the program itself prints goes into
FOLDER/output.txt. One mutant alone, with its traceback: python tests/fuzz/fuzz_worker.py FOLDER family number
"""

import faulthandler
import json
import os
import resource
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent), str(HERE.parent / "datasets"), str(HERE.parents[1])]  # this folder is the first

MOST_ADDRESSES = 6 << 30  # bytes beyond what the imports take; a reader that asks for more is refused them
HANGS_AFTER_S = 300
WATCHED = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "socket.connect")


def peak_memory() -> int:
    """The bytes that this process has had in memory at most since the last call; forgets them."""
    try:
        status = Path("/proc/self/status").read_text()
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # no Linux: the most there ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def limit_addresses() -> None:
    """A guard for the machine: nothing may ask for more than MOST_ADDRESSES from here on."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit = pages * resource.getpagesize() + MOST_ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> None:
    scratch = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    alone = len(sys.argv) == 4
    if not alone:
        log = os.open(scratch / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
    os.chdir(scratch)
    from families import FAMILIES
    from family import FOLDER, try_mutant
    from plan import PLAN

    assert FAMILIES.keys() == PLAN.keys()
    assert all(PLAN[name].total >= 2 * len(set(family.kinds)) for name, family in FAMILIES.items())

    ran: list[str] = []
    sys.addaudithook(lambda event, args: ran.append(f"{event} {args!r:.200}") if event in WATCHED else None)
    limit_addresses()
    requests = [f"{sys.argv[2]} {sys.argv[3]} {int(sys.argv[3]) + 1}"] if alone else sys.stdin
    for request in requests:
        name, first, last = request.split()
        family = FAMILIES[name]
        for number in range(int(first), int(last)):
            print("begin", number, family.kind(number), file=answers)
            faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
            folder = scratch / FOLDER
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                print("end", try_mutant(family, number, folder, peak_memory, ran), file=answers)
            except AssertionError as error:
                print("fail", json.dumps(str(error)), file=answers)
                if alone:
                    print(error, file=answers)
            faulthandler.cancel_dump_traceback_later()
        print("done", file=answers)


if __name__ == "__main__":
    main()
