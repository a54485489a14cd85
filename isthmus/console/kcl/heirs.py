"""Who goes on with the shards of a leader that is gone. Pure.

The library's own leader would see to it, but there is none: each worker asks only every 30 s whether the lock is free,
and nothing changes that (amazon-kinesis-client, DynamoDBLockBasedLeaderDecider). So whoever has proved the death gives
its leases away as a leader would, to those who have the fewest.
"""

from collections.abc import Mapping

from isthmus.checkpoint.kcl import KclLease


def heirs(
    leases: Mapping[str, KclLease], before: Mapping[str, KclLease], dead: str, me: str
) -> list[tuple[KclLease, str]]:
    """Give each lease of the dead worker that is still to be read, with the worker that is to have it.

    `before` are the leases as they were at the look before this one: who has raised a counter since then lives. Nobody
    else is trusted with a shard, but `me`.
    """
    shares = {me: 0}
    for shard, lease in leases.items():
        earlier = before.get(shard)
        lives = earlier is not None and earlier.owner == lease.owner and earlier.counter != lease.counter
        if lives and lease.owner not in {"", dead}:
            shares.setdefault(lease.owner, 0)
    for lease in leases.values():
        if lease.owner in shares and not lease.ended:
            shares[lease.owner] += 1
    given = []
    for shard in sorted(leases):
        lease = leases[shard]
        if lease.owner == dead and not lease.ended:
            heir = min(shares, key=lambda worker: (shares[worker], worker != me, worker))
            shares[heir] += 1
            given.append((lease, heir))
    return given
