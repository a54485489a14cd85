"""The planted bugs of the child of the Kinesis Client Library's daemon."""

from tests.mutants.mutant import Mutant

K = "isthmus/consumer/runtimes/kcl/"
PROTOCOL = "tests/unit/test_kcl_protocol.py"
STATES = "tests/unit/test_kcl_states.py"
ANSWERS = "tests/unit/test_kcl_child_answers.py"
FAILURES = "tests/unit/test_kcl_child_failures.py"
ORDERS = "tests/unit/test_kcl_child_orders.py"
BUNDLES = "tests/unit/test_kcl_bundles.py"
PROCESS = "tests/integration/test_kcl_child.py"

HEIRS = "tests/unit/test_kcl_heirs.py"
LEASES = "tests/contract/test_kcl_leases.py"

KCL_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "KCL: a living worker's folder is taken for left over",
        "isthmus/console/kcl/folder.py",
        "    fcntl.flock(lock, fcntl.LOCK_EX)\n",
        "    pass\n",
        ("tests/unit/test_kcl_folder.py",),
    ),
    Mutant(
        "a handler that waits for a silent store is counted",
        "isthmus/consumer/limits.py",
        "        self._decider.probe()\n        txn",
        "        txn",
        ("tests/unit/test_limits.py",),
    ),
    Mutant(
        "KCL: a dead leader's shard given to whoever has a lease",
        "isthmus/console/kcl/heirs.py",
        "        if lives and lease.owner",
        "        if lease.owner",
        (HEIRS,),
    ),
    Mutant(
        "KCL: a lease that moved since it was seen given to another",
        "isthmus/checkpoint/kcl.py",
        '"leaseOwner = :owner AND leaseCounter = :counter"',
        '"leaseOwner = :owner AND :counter = :counter"',
        (LEASES,),
    ),
    Mutant(
        "KCL: a bare checkpoint",
        f"{K}protocol.py",
        '"sequenceNumber": sequence, "subSequenceNumber": sub_sequence}',
        '"sequenceNumber": None, "subSequenceNumber": None}',
        (ORDERS,),
    ),
    Mutant(
        "KCL: a sub-sequence number invented",
        "isthmus/consumer/processor.py",
        "yield _Group(changes, record.place, index + 1 - begun)",
        "yield _Group(changes, Place(record.sequence, len(changes) - 1), index + 1 - begun)",
        (BUNDLES,),
    ),
    Mutant(
        "KCL: a sub-sequence number forgotten",
        f"{K}protocol.py",
        '            item.get("subSequenceNumber") or 0,\n',
        "            0,\n",
        (PROTOCOL, ORDERS),
    ),
    Mutant(
        "KCL: a child that loads a toolkit for databases that it never asks",
        "isthmus/console/kcl/serving.py",
        "load(file, dialects=False)",
        "load(file)",
        (PROCESS,),
    ),
    Mutant(
        "KCL: a draft of metrics left by whoever was killed in it",
        "isthmus/console/kcl/metricfiles.py",
        "            self._remove_drafts()\n",
        "",
        ("tests/unit/test_kcl_metricfiles.py",),
    ),
    Mutant(
        "KCL: an error answered with a status",
        f"{K}child.py",
        "        self._act(question)\n",
        "        try:\n            self._act(question)\n        except Exception:\n            pass\n",
        (ORDERS,),
    ),
    Mutant(
        "KCL: SystemExit is a success",
        f"{K}ending.py",
        "    except BaseException as error:",
        "    except SystemExit:\n        return DONE\n    except BaseException as error:",
        (ORDERS,),
    ),
    Mutant(
        "KCL: a checkpoint after the lease is lost",
        f"{K}child.py",
        "            case Act.IGNORE, _:\n                pass\n",
        "            case Act.IGNORE, _:\n                self._save()\n",
        (ANSWERS,),
    ),
    Mutant(
        "KCL: effects after the lease is lost",
        f"{K}states.py",
        "    ChildState.LOST: {\n        ProcessRecords: Act.SKIP,",
        "    ChildState.LOST: {\n        ProcessRecords: Act.DECIDE,",
        (ANSWERS, ORDERS),
    ),
    Mutant(
        "KCL: a lease that is gone is not noticed",
        f"{K}checkpointer.py",
        "        elif answer.error == _LEASE_GONE:\n            raise LeaseGone(",
        "        elif answer.error == _LEASE_GONE:\n            Transient(",
        (ANSWERS,),
    ),
    Mutant(
        "KCL: the shard's end after a latch",
        f"{K}child.py",
        "        if self._skipping_since is not None:\n            # Children",
        "        if False:\n            # Children",
        (ANSWERS, ORDERS),
    ),
    Mutant(
        "KCL: a batch that was stopped counts as decided",
        f"{K}child.py",
        "            self._skip(records)\n\n    def _stopped",
        "\n    def _stopped",
        (ANSWERS, ORDERS),
    ),
    Mutant(
        "KCL: nobody looks whether a batch is decided",
        f"{K}child.py",
        "            if self.state is ChildState.READING:\n                raise Fatal",
        "            if False:\n                raise Fatal",
        (FAILURES,),
    ),
    Mutant(
        "KCL: a place compared as text",
        "isthmus/consumer/feed.py",
        "return int(self.sequence), self.sub_sequence",
        "return self.sequence, self.sub_sequence  # type: ignore[return-value]",
        (PROTOCOL, ANSWERS),
    ),
    Mutant(
        "KCL: stdout left as the protocol",
        f"{K}descriptors.py",
        "    os.dup2(_STDERR, _STDOUT)\n",
        "",
        (PROCESS,),
    ),
    Mutant(
        "KCL: the descriptors are not looked at",
        f"{K}descriptors.py",
        "            same = (_identity(self.reading), _identity(self._writing)) == self._identities\n",
        "            same = True\n",
        ("tests/unit/test_kcl_descriptors.py",),
    ),
    Mutant(
        "KCL: a forked process keeps the line",
        f"{K}descriptors.py",
        "    os.register_at_fork(after_in_child=lines.disown)\n",
        "",
        (PROCESS,),
    ),
    Mutant(
        "KCL: a process forked in C speaks too",
        f"{K}descriptors.py",
        "        if os.getpid() != self._owner:\n",
        "        if False:\n",
        (PROCESS,),
    ),
    Mutant(
        "KCL: half a line is obeyed",
        f"{K}descriptors.py",
        'return line if line.endswith(b"\\n") else None',
        "return line or None",
        (PROCESS,),
    ),
    Mutant(
        "KCL: a child outlives its daemon",
        f"{K}orphan.py",
        '    threading.Thread(target=_watch, args=(reading, process, answering), name="orphan", daemon=True).start()\n',
        "",
        (PROCESS,),
    ),
    Mutant(
        "KCL: only the pipe's end is watched",
        f"{K}orphan.py",
        "    if process is not None:\n        poll.register",
        "    if False:\n        poll.register",
        (PROCESS,),
    ),
)
