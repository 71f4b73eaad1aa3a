"""`make bootstrap`: what Terraform needs before its first run: some services, the bucket of its state, service agents.

Running it again repairs the bucket's settings.
"""

from infra.ops import config, guard, shell
from infra.ops.shell import Stop, agreed, ask, do

SERVICES = ("serviceusage", "cloudresourcemanager", "storage", "pubsub", "cloudtasks", "cloudscheduler")
# Google makes these accounts only when they are first needed; Terraform grants roles to them before that.
AGENTS = ("pubsub", "cloudtasks", "cloudscheduler")
RETENTION = "7d"  # a deleted or overwritten state can be restored for so long, even if nobody noticed versions


def bootstrap() -> None:
    if not shell.dry():
        guard.same_project()
    project = f"--project={config.project()}"
    do("gcloud", "services", "enable", *(f"{name}.googleapis.com" for name in SERVICES), project, "--quiet")
    _bucket(f"gs://{config.state_bucket()}", project)
    for name in AGENTS:
        do("gcloud", "beta", "services", "identity", "create", f"--service={name}.googleapis.com", project, "--quiet")


def _bucket(bucket: str, project: str) -> None:
    """Versioned and closed to the public. The name may be taken by a stranger, so its project is compared."""
    closed = ("--uniform-bucket-level-access", "--public-access-prevention")
    try:
        do("gcloud", "storage", "buckets", "create", bucket, project, f"--location={config.region()}", *closed)
    except Stop as stop:
        if "409" not in str(stop):
            raise
        _refuse_of_strangers(bucket)
    do("gcloud", "storage", "buckets", "update", bucket, "--versioning", f"--soft-delete-duration={RETENTION}", *closed)


def _refuse_of_strangers(bucket: str) -> None:
    """Raises Stop. Whoever has the bucket reads the state, and could decide what is deployed and gone back to."""
    owner = ask("gcloud", "storage", "buckets", "describe", bucket, "--raw", "--format=value(projectNumber)")
    ours = ask("gcloud", "projects", "describe", config.project(), "--format=value(projectNumber)")
    if owner == ours:
        return
    if not config.decided("STATE_BUCKET") or not agreed(f"{bucket} is in the project of number {owner}. Is it yours?"):
        raise Stop(f"{bucket} is in another project, of number {owner}: give STATE_BUCKET a name of your own")


if __name__ == "__main__":
    shell.main(bootstrap)
