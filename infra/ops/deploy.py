"""`make deploy`: deploy the functions in parallel, then set who may call each.

Each command contains every option of a function, so that a second deployment reverts changes made by hand.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from infra.ops import bundle, canary, config, secret_manager, shell, terraform
from infra.ops.function_table import Function, chosen, secret_id
from infra.ops.guard import changing
from infra.ops.lock import RUNTIME
from infra.ops.preflight import check_start, placeholders
from infra.ops.shell import Stop, do
from infra.ops.terraform import Outputs

LABEL = "clickwrap-relay"
# The buildpack compiles all code anew, bound to the times of the files; the image then gives them other times, and each
# start would compile it once more. With this variable, compiled code is bound to the content of its source instead.
KEEP_BYTECODE = "SOURCE_DATE_EPOCH=1"

MAX_SETTINGS = 32 * 1024  # bytes of all names and values that Google takes for a function
HELD = ". Until then the earlier revisions answer all calls"


class Plan(msgspec.Struct, frozen=True):
    """What the deployment of one function needs."""

    function: Function
    source: Path
    digest: str
    environ: dict[str, str]
    env_file: Path


def deploy() -> int:
    if names := config.only_of_the_file():
        raise Stop(f"{', '.join(names)}: the functions get what {config.file().name} says, so write it there")
    functions, outputs = chosen(terraform.deployed()), terraform.outputs()
    _refuse_before_infra()
    share = canary.percent()
    plans = [plan_for(function, outputs) for function in functions]
    _refuse_without_secrets(plans, outputs)
    before = canary.hold(functions) if share else {}
    if _deploy_all(plans, outputs):
        return 1  # under CANARY, the earlier revisions answer everything
    return canary.release(before) if before else 0


def _refuse_before_infra() -> None:
    """Raises Stop. Another provider's secret, or a new function's account, is one that Terraform has to know of."""
    if (names := terraform.unapplied()) and not shell.dry():
        raise Stop(
            f"{', '.join(names)}: {config.file().name} says otherwise than the infrastructure. Run `make infra` first "
            f"(a file of Terraform's variables comes before {config.file().name})"
        )


def _refuse_without_secrets(plans: list[Plan], outputs: Outputs) -> None:
    """Raises Stop. A function without one of its secrets fails only at the end of its build, minutes later."""
    if shell.dry():
        return
    needed = {plan.function.name: config.needed(plan.function, plan.environ) for plan in plans}
    for name, variables in needed.items():
        if refused := [variable for variable in variables if variable not in outputs.secrets[name]]:
            raise Stop(f"{name} may not read {', '.join(refused)} yet: run `make infra` first")
    every = dict.fromkeys(variable for variables in needed.values() for variable in variables)
    absent = [variable for variable in every if not secret_manager.has_version(variable)]
    if absent:
        raise Stop(f"{', '.join(absent)}: no value, or the newest is disabled. Run `make secrets`")


def _deploy_all(plans: list[Plan], outputs: Outputs) -> bool:
    """Whether something failed."""
    with ThreadPoolExecutor(len(plans)) as pool:
        failures = [failure for failure in pool.map(lambda plan: _deploy_one(plan, outputs), plans) if failure]
    for failure in dict.fromkeys(failures):
        shell.say(failure)
    if failures:
        shell.say(f"Not everything was deployed: run the same command again{HELD if canary.percent() else ''}")
    return bool(failures)


def plan_for(function: Function, outputs: Outputs) -> Plan:
    """Build a bundle and check that it starts; under DRY_RUN only compute the names. Raises Stop."""
    environ = config.environment(function, outputs.environment) | callers(function, outputs)
    _refuse_too_large(function.name, environ)
    settings = msgspec.json.format(msgspec.json.encode(environ))  # JSON is YAML
    # By its content, as the bundle: what is deployed at the same time to another project has a file of its own.
    env_file = bundle.DIST / "env" / f"{function.name}-{bundle.digest_of({'': settings})}.yaml"
    if shell.dry():
        digest = bundle.digest_of(bundle.contents(function))
        return Plan(function, bundle.DIST / f"{function.name}-{digest}", digest, environ, env_file)
    made = bundle.build(function, bundle.DIST)
    check_start(function, made.folder, environ | placeholders(config.needed(function, environ)))
    env_file.parent.mkdir(parents=True, exist_ok=True)
    env_file.write_bytes(settings)
    return Plan(function, made.folder, made.digest, environ, env_file)


def _refuse_too_large(function: str, environ: dict[str, str]) -> None:
    """Raises Stop. Google would refuse it only after the upload."""
    sizes = {name: len(f"{name}{value}".encode()) for name, value in environ.items()}
    if (total := sum(sizes.values())) > MAX_SETTINGS:
        largest = max(sizes, key=lambda name: sizes[name])
        raise Stop(f"{function}: its settings have {total:,} bytes, Google takes {MAX_SETTINGS:,}: shorten {largest}")


def _deploy_one(plan: Plan, outputs: Outputs) -> str:
    """Deploy one function. Returns what went wrong, or ""; a failure must not stop the other functions."""
    try:
        do(*deployment(plan, outputs))
        for command in access(plan, outputs):
            do(*command)
    except Stop as stop:
        return str(stop)
    if not shell.dry():
        shell.say(f"{plan.function.name}: deployed")
    return ""


def deployment(plan: Plan, outputs: Outputs) -> list[str]:
    f = plan.function
    return [
        *("gcloud", "functions", "deploy", f.name, "--gen2", "--quiet", "--format=none"),
        *config.place(),
        *(f"--runtime=python{RUNTIME.replace('.', '')}", f"--entry-point={f.name}", "--trigger-http"),
        f"--source={os.path.relpath(plan.source)}",
        f"--service-account={outputs.service_accounts[f.name]}",
        f"--build-service-account={outputs.build_service_account}",
        f"--docker-repository={outputs.docker_repository}",
        *(f"--memory={f.memory}", f"--cpu={f.cpu}", f"--concurrency={f.concurrency}", f"--timeout={f.timeout}s"),
        *(f"--min-instances={min_instances(f)}", f"--max-instances={f.max_instances}"),
        f"--ingress-settings={ingress(f)}",
        *_egress(f, outputs),
        f"--env-vars-file={os.path.relpath(plan.env_file)}",
        _secrets(f, plan.environ),
        f"--update-labels=app={LABEL},bundle={plan.digest}",
        f"--set-build-env-vars={KEEP_BYTECODE}",
        # Without it, traffic that a rollback or a canary has pinned would stay where it is.
        *([] if canary.percent() else ["--serve-all-traffic-latest-revision"]),
        "--allow-unauthenticated" if "allUsers" in outputs.invokers[f.name] else "--no-allow-unauthenticated",
    ]


def min_instances(function: Function) -> int:
    """MIN_INSTANCES=0 lets a test project cost nothing while it is idle, at the price of slow first calls."""
    given = config.decided("MIN_INSTANCES")
    return min(function.min_instances, int(given)) if given.isdigit() else function.min_instances


def ingress(function: Function) -> str:
    """PRIVATE_INGRESS=internal-only closes to the internet what only Google calls; the console's proxy is outside."""
    return config.decided("PRIVATE_INGRESS", function.ingress) if function.called_by_google else function.ingress


def callers(function: Function, outputs: Outputs) -> dict[str, str]:
    """The function checks its caller too: one of the accounts to which Terraform gives the right to call it."""
    accounts = [member.removeprefix("serviceAccount:") for member in outputs.invokers[function.name]]
    return {"CALLERS": ",".join(accounts)} if function.called_by_google else {}


def _egress(function: Function, outputs: Outputs) -> list[str]:
    """A VPC connector gives calls to the outside a fixed IP address. Without one, an earlier goes."""
    if outputs.vpc_connector and (function.api_share or function.name == "forward"):
        return [f"--vpc-connector={outputs.vpc_connector}", "--egress-settings=all"]
    return ["--clear-vpc-connector"]


def _secrets(function: Function, environ: dict[str, str]) -> str:
    needed = config.needed(function, environ)
    named = ",".join(f"{variable}={secret_id(variable)}:latest" for variable in needed)
    return f"--set-secrets={named}" if named else "--clear-secrets"


def access(plan: Plan, outputs: Outputs) -> list[list[str]]:
    """The commands that set who may call a function. They need the Cloud Run service, so they follow its deployment."""
    name, public = plan.function.name, plan.function.public
    members, audience = outputs.invokers[name], plan.environ.get("OIDC_AUDIENCE")
    if public:
        return [] if "allUsers" in members else [_service("update", name, "--no-invoker-iam-check")]
    bind = [_service("add-iam-policy-binding", name, "--role=roles/run.invoker", f"--member={m}") for m in members]
    accept = [_service("update", name, f"--add-custom-audiences={audience}")] if audience else []
    return bind + accept


def _service(verb: str, name: str, *flags: str) -> list[str]:
    return ["gcloud", "run", "services", verb, name, *flags, *config.place(), "--quiet", "--format=none"]


if __name__ == "__main__":
    shell.main(changing(deploy))
