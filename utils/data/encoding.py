"""Which encoding text is in: UTF-8, with or without the mark that some programs put first."""

UTF_8_MARK, UTF_16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


def not_utf_8(data: bytes) -> int | None:
    """The line, from 0 on, in which whole lines of text are no UTF-8; None where they are."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start)
    return None
