"""A coarse name of the client's program, by which users recognise their own sessions.

Only names of these tables are returned, so that a User-Agent, which can identify a person, is stored nowhere.
"""

_UNKNOWN_BROWSER = "A browser"
_PROGRAM = "A program"
# Browsers name others for compatibility, so the first match counts.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def client_name(user_agent: str) -> str:
    """Such as "Firefox on Linux", or "A program" for clients that are no browsers."""
    if not user_agent.startswith("Mozilla/"):
        return _PROGRAM
    browser = _first(_BROWSERS, user_agent) or _UNKNOWN_BROWSER
    system = _first(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for token, name in names if token in user_agent), "")
