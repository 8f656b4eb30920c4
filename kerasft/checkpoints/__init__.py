"""Pretrained files in and out: where they are, what they hold, how names translate.

Files are untrusted: JSON and safetensors only, nothing in them names code, a path or
an address that would be followed.
"""
