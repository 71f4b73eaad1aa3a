"""`make deploy`: deploy the functions in parallel, then set who may call each.

Each command contains every option of a function, so that a second deployment reverts changes made by hand.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from infra.ops import bundle, config, shell, terraform
from infra.ops.function_table import Function, chosen, secret_id
from infra.ops.guard import changing
from infra.ops.preflight import check_start, placeholders
from infra.ops.shell import Stop, do
from infra.ops.terraform import Outputs

RUNTIME = "python311"
LABEL = "clickwrap-relay"


class Plan(msgspec.Struct, frozen=True):
    """What the deployment of one function needs."""

    function: Function
    source: Path
    digest: str
    environ: dict[str, str]
    env_file: Path


def deploy() -> int:
    outputs = terraform.outputs()
    plans = [plan_for(function, outputs) for function in chosen()]
    with ThreadPoolExecutor(len(plans)) as pool:
        failures = [failure for failure in pool.map(lambda plan: _deploy_one(plan, outputs), plans) if failure]
    for failure in dict.fromkeys(failures):
        shell.say(failure)
    return 1 if failures else 0


def plan_for(function: Function, outputs: Outputs) -> Plan:
    """Build a bundle and check that it starts; under DRY_RUN only compute the names. Raises Stop."""
    environ = config.environment(function, outputs.environment)
    env_file = bundle.DIST / "env" / f"{function.name}.yaml"
    if shell.dry():
        digest = bundle.digest_of(bundle.contents(function))
        return Plan(function, bundle.DIST / f"{function.name}-{digest}", digest, environ, env_file)
    made = bundle.build(function, bundle.DIST)
    check_start(function, made.folder, environ | placeholders(config.needed(function, environ)))
    env_file.parent.mkdir(parents=True, exist_ok=True)
    env_file.write_bytes(msgspec.json.format(msgspec.json.encode(environ)))  # JSON is YAML
    return Plan(function, made.folder, made.digest, environ, env_file)


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
        *(f"--runtime={RUNTIME}", f"--entry-point={f.name}", "--trigger-http"),
        f"--source={os.path.relpath(plan.source)}",
        f"--service-account={outputs.service_accounts[f.name]}",
        f"--build-service-account={outputs.build_service_account}",
        f"--docker-repository={outputs.docker_repository}",
        *(f"--memory={f.memory}", f"--cpu={f.cpu}", f"--concurrency={f.concurrency}", f"--timeout={f.timeout}s"),
        *(f"--min-instances={f.min_instances}", f"--max-instances={f.max_instances}"),
        f"--ingress-settings={f.ingress}",
        *_egress(outputs),
        f"--env-vars-file={os.path.relpath(plan.env_file)}",
        _secrets(f, plan.environ),
        f"--update-labels=app={LABEL},bundle={plan.digest}",
        "--allow-unauthenticated" if "allUsers" in outputs.invokers[f.name] else "--no-allow-unauthenticated",
    ]


def _egress(outputs: Outputs) -> list[str]:
    """A VPC connector gives outgoing calls a fixed IP address; without one, an earlier connector is removed."""
    if outputs.vpc_connector:
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
