"""`make url`: print what to enter in Clickwrap."""

from infra.ops import config, secret_manager, shell

EVENTS = ("Request Sent", "Request Signed", "Request Complete", "Request Expired")


def instructions() -> str:
    return "\n".join(
        (
            "In Clickwrap: Settings > Integrations > Add Hook",
            f"  URL           {config.url('receive')}",
            "  HTTP Method   POST",
            "  Content type  JSON",
            f"  Events        {', '.join(EVENTS)}",
            "  Secret Code   what this prints (it is not shown here):",
            f"    {secret_manager.how_to_read('CLICKWRAP_WEBHOOK_TOKENS')} | cut -d, -f1",
            "Switch off Clickwrap's own notifications and reminders, or signers get every message twice.",
        )
    )


if __name__ == "__main__":
    shell.main(lambda: shell.say(instructions()))
