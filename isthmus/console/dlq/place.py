"""Where the dead-letter queue is, if there is one."""

from isthmus.settings import Settings

NO_QUEUE = "The settings name endpoints of other services, and none for SQS: there is no dead-letter queue."
NO_QUEUE_HINT = "Name it: sqs under [aws.endpoints]."


def queue_name(settings: Settings) -> str | None:
    """Give the queue's name, or None where it is not said in which SQS it lies.

    Whoever names an endpoint speaks to an emulator, or through an endpoint of its own network. Where only other
    services have one, SQS would be AWS itself: copies of a test's data would go to a real account, or those of a
    closed network out of it.
    """
    access = settings.aws.access
    if access.endpoint("sqs") is None and any(access.endpoint(name) for name in ("kinesis", "dynamodb", "s3")):
        return None
    return settings.dead_letters.queue
