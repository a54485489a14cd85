"""Large payloads in S3."""

import contextlib
from typing import TYPE_CHECKING

from isthmus.aws import classify, error_code
from isthmus.errors import Poison
from isthmus.payloads import Folder, is_name_of, payload_name

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MISSING = "payload-missing"


class S3Payloads:
    """`isthmus.payloads.Payloads` in one bucket.

    It needs `s3:ListBucket` beside `s3:GetObject` and `s3:PutObject`: without it S3 answers "access denied" where an
    object is missing, and that stops the process instead of parking one change.
    """

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, content: bytes, folder: Folder = Folder.STREAM) -> str:
        """Write the object and give its reference, `s3://bucket/payload/<sha256>`."""
        name = payload_name(content, folder)
        try:
            self._s3.put_object(Bucket=self._bucket, Key=name, Body=content)
        except Exception as error:
            raise classify(error) from error
        return f"s3://{self._bucket}/{name}"

    def get(self, reference: str) -> bytes:
        """Give the content. A reference into another bucket is answered as missing: a record must not choose it."""
        ours = f"s3://{self._bucket}/"
        if not reference.startswith(ours):
            raise Poison(MISSING, "The reference does not lead into the bucket of [claim_check].")
        name = reference.removeprefix(ours)
        try:
            with contextlib.closing(self._s3.get_object(Bucket=self._bucket, Key=name)["Body"]) as body:
                content = body.read()
        except Exception as error:
            if error_code(error) == "NoSuchKey":
                raise Poison(MISSING, "The payload is not in the bucket any more.") from error
            raise classify(error) from error
        if not is_name_of(content, name):
            raise Poison(MISSING, "The payload in the bucket is not the one that was written.")
        return content
