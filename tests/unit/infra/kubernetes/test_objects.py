"""The objects as kubectl renders them: what each function has, how pods are confined, who may talk to whom."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from common.settings import SETTINGS
from common.telemetry.metric_catalogue import CATALOGUE
from infra.kubernetes.generate import FOLDER
from infra.kubernetes.listed import load_functions
from infra.kubernetes.parts import WAYS, secrets_of
from infra.kubernetes.pods import KEY_FOLDER, PORT, SECRETS_FOLDER
from infra.kubernetes.scaling import IN_FLIGHT
from infra.kubernetes.workloads import GUNICORN_SECONDS
from tests.unit.infra.kubernetes.rendered import APPLIED, POD_OWNERS, containers, named, of_knative, pods, rendered

FUNCTIONS = {one.dns_name: one for one in load_functions()}
OVERLAYS = ("overlays/dev", "overlays/prod")
CERT_MANAGERS = {"acme.cert-manager.io/http01-solver": "true"}  # label of the pod that proves a host (HTTP-01)
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

each_applied = pytest.mark.parametrize("applied", APPLIED)
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def one_pod(applied: str, owner: str) -> dict[str, Any]:
    return next(spec for name, _, spec in pods(applied) if name == owner)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


# Each function


@each_overlay
@each_function
def test_a_function_has_all_that_runs_it(overlay: str, name: str) -> None:
    for kind in ("Deployment", "Service", "ServiceAccount", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert name in named(overlay, kind), kind
    assert (name in named(overlay, "CronJob")) == (FUNCTIONS[name].schedule is not None)
    assert one_pod(overlay, f"Deployment {name}")["serviceAccountName"] == name


@each_overlay
@each_function
def test_services_autoscalers_and_budgets_find_the_pods_that_are_meant(overlay: str, name: str) -> None:
    labels = {owner: found for owner, found, _ in pods(overlay)}
    selected = named(overlay, "Deployment")[name]["spec"]["selector"]
    budget = named(overlay, "PodDisruptionBudget")[name]["spec"]["selector"]
    service = {"matchLabels": named(overlay, "Service")[name]["spec"]["selector"]}
    for selector in (selected, budget, service):
        assert [owner for owner, found in labels.items() if selects(selector, found)] == [f"Deployment {name}"]
    target = named(overlay, "HorizontalPodAutoscaler")[name]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", name)
    (port,) = named(overlay, "Service")[name]["spec"]["ports"]
    (container,) = one_pod(overlay, f"Deployment {name}")["containers"]
    assert (port["port"], container["ports"]) == (8080, [{"name": port["targetPort"], "containerPort": PORT}])


@each_function
def test_memory_cpu_time_and_number_are_those_of_the_list(name: str) -> None:
    function, pod = FUNCTIONS[name], one_pod("overlays/prod", f"Deployment {name}")
    (container,) = pod["containers"]
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert (limits["memory"], requests["memory"]) == (f"{function.memory_mb}Mi",) * 2
    assert limits["cpu"] == f"{round(function.cpu * 1000)}m"
    assert named("overlays/prod", "HorizontalPodAutoscaler")[name]["spec"]["maxReplicas"] == function.max_instances
    template = of_knative()[name]["spec"]["template"]
    assert template["spec"]["timeoutSeconds"] == function.timeout_seconds
    assert template["spec"]["containerConcurrency"] == function.concurrency
    assert template["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"] == str(function.max_instances)


@each_function
def test_a_request_in_flight_ends_by_itself_when_its_pod_is_to_go(name: str) -> None:
    pod = one_pod("overlays/prod", f"Deployment {name}")
    asleep: int = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert asleep >= 5
    assert asleep + GUNICORN_SECONDS >= FUNCTIONS[name].timeout_seconds
    assert pod["terminationGracePeriodSeconds"] > asleep + GUNICORN_SECONDS


@each_function
def test_prod_keeps_two_pods_where_the_list_allows_two_and_dev_one(name: str) -> None:
    prod, dev = (
        named(overlay, "HorizontalPodAutoscaler")[name]["spec"] for overlay in ("overlays/prod", "overlays/dev")
    )
    assert prod["minReplicas"] == min(2, FUNCTIONS[name].max_instances)
    assert dev["minReplicas"] == 1
    assert [metric["type"] for metric in prod["metrics"]] == ["Resource", "External"]
    assert [metric["type"] for metric in dev["metrics"]] == ["Resource"]
    spread = one_pod("overlays/prod", f"Deployment {name}")["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_what_prod_scales_by_is_told_from_a_series_that_there_is() -> None:
    (rule,) = yaml.safe_load((FOLDER / "addons" / "monitoring" / "adapter-rules.yaml").read_text())
    assert rule["name"]["as"] == IN_FLIGHT
    (series,) = (one for one in CATALOGUE if f"{one.name}_sum" == rule["seriesQuery"])
    assert (series.kind, "function" in {label.name for label in series.labels}) == ("histogram", True)
    external = named("overlays/prod", "HorizontalPodAutoscaler")["query"]["spec"]["metrics"][1]["external"]
    assert external["metric"] == {"name": IN_FLIGHT, "selector": {"matchLabels": {"function": "query"}}}
    assert external["target"]["averageValue"] == "5600m"  # 70 % of the 8 requests that an instance takes at a time


@each_function
def test_a_process_is_restarted_only_when_it_is_silent_for_longer_than_any_request(name: str) -> None:
    (container,) = one_pod("overlays/prod", f"Deployment {name}")["containers"]
    probe = container["livenessProbe"]
    assert probe["httpGet"]["path"] == "/live"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= FUNCTIONS[name].timeout_seconds


@each_function
def test_a_pod_that_needs_the_database_waits_for_its_schema_and_the_public_one_does_not(name: str) -> None:
    pod = one_pod("overlays/prod", f"Deployment {name}")
    waits = [container["name"] for container in pod["initContainers"]] == ["take-key", "await-schema"]
    assert waits == (FUNCTIONS[name].callers != "public")


# Each pod


@each_applied
def test_every_pod_keeps_to_the_restricted_profile_and_more(applied: str) -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    found = list(pods(applied))
    assert len(found) > len(FUNCTIONS)
    for owner, _, pod in found:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), owner
        assert pod["automountServiceAccountToken"] is False, owner
        allowed = {"configMap", "emptyDir", "projected", "secret"}
        assert all(volume.keys() - {"name"} <= allowed for volume in pod.get("volumes", [])), owner
        for container in containers(pod):
            context = pod.get("securityContext", {}) | container["securityContext"]
            where = f"{owner}: {container['name']}"
            assert context["runAsNonRoot"] is True, where
            assert context["runAsUser"] > 0, where
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, where
            assert context["allowPrivilegeEscalation"] is False, where
            assert context["capabilities"] == {"drop": ["ALL"]}, where
            assert context["readOnlyRootFilesystem"] is True, where
            assert "hostPort" not in str(container.get("ports")), where
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}, where


@each_applied
def test_the_namespace_refuses_any_other_pod(applied: str) -> None:
    (namespace,) = named(applied, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_applied
def test_images_have_exact_tags(applied: str) -> None:
    for owner, _, pod in pods(applied):
        for container in containers(pod):
            _, _, tag = container["image"].partition(":")
            assert re.fullmatch(r"\d+\.\d+.*", tag), f"{owner}: {container['image']}"


@each_applied
def test_a_pod_mounts_what_it_names_and_writes_to_nothing_that_stays(applied: str) -> None:
    for owner, _, pod in pods(applied):
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for container in containers(pod):
            for mount in container["volumeMounts"]:
                volume = volumes.get(mount["name"])
                if volume is None:
                    assert owner.startswith("StatefulSet"), owner  # a store's own disk
                else:
                    assert mount.get("readOnly", False) != ("emptyDir" in volume), f"{owner}: {mount}"


@each_applied
def test_every_account_is_there_and_has_no_token(applied: str) -> None:
    accounts = named(applied, "ServiceAccount")
    assert {pod["serviceAccountName"] for _, _, pod in pods(applied)} == accounts.keys()
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())


@each_applied
def test_names_are_those_that_kubernetes_takes(applied: str) -> None:
    for one in rendered(applied):
        name = one["metadata"]["name"]
        assert DNS_LABEL.fullmatch(name), name
        assert len(name) <= (52 if one["kind"] == "CronJob" else 63), name
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "loancheck"
        for key, value in one["metadata"].get("labels", {}).items():
            assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value), f"{key}: {value}"


# Settings and secrets


@each_applied
def test_no_secret_stands_in_an_object_and_none_in_a_pods_environment(applied: str) -> None:
    secret = {name.upper() for name, one in SETTINGS.items() if one.kind.__name__ == "Secret"}
    assert "DATABASE_URL" in secret
    assert named(applied, "Secret") == {}
    for owner, _, pod in pods(applied):
        for container in containers(pod):
            assert all("valueFrom" not in one for one in container.get("env", [])), owner
            assert not secret & {one["name"] for one in container.get("env", [])}, owner
            assert all("secretRef" not in one for one in container.get("envFrom", [])), owner
    for config in named(applied, "ConfigMap").values():
        assert not secret & config["data"].keys()


@each_applied
def test_plain_settings_are_settings_and_every_pod_of_ours_has_them(applied: str) -> None:
    (name,) = (name for name in named(applied, "ConfigMap") if name.startswith("settings-"))
    known = {one.upper() for one in SETTINGS}
    assert named(applied, "ConfigMap")[name]["data"].keys() <= known
    assert named(applied, "ConfigMap")[name]["data"]["ENVIRONMENT"] == "production"
    for owner, labels, pod in pods(applied):
        if labels["app.kubernetes.io/component"] not in {"store", "scheduled-call"}:
            for container in containers(pod):
                assert container["envFrom"] == [{"configMapRef": {"name": name}}], owner
                assert {one["name"] for one in container.get("env", [])} <= {"SECRETS_DIR", "THREADS"}


@each_applied
@each_function
def test_a_function_gets_the_secrets_of_the_parts_that_it_uses_as_files(applied: str, name: str) -> None:
    kind = "Service" if applied == "overlays/knative" else "Deployment"
    pod = one_pod(applied, f"{kind} {name}")
    (sources,) = (volume["projected"]["sources"] for volume in pod["volumes"] if volume["name"] == "secrets")
    items = {item["key"]: item["path"] for source in sources for item in source["secret"]["items"]}
    assert list(items) == [*secrets_of(FUNCTIONS[name].uses, is_scraped=applied != "overlays/knative")]
    assert all(key.lower() == path for key, path in items.items())  # as the image's start.sh reads them
    needed = [
        item["key"] for source in sources for item in source["secret"]["items"] if "optional" not in source["secret"]
    ]
    assert set(needed) == {"DATABASE_URL", "REDIS_URL"} & items.keys()
    (container,) = pod["containers"]
    assert {"name": "SECRETS_DIR", "value": SECRETS_FOLDER} in container["env"]


@pytest.mark.parametrize("applied", ["overlays/prod", "overlays/knative"])
def test_every_secret_that_a_pod_mounts_comes_from_the_teams_store(applied: str) -> None:
    made = {one["spec"]["target"]["name"]: one["spec"]["data"] for one in named(applied, "ExternalSecret").values()}
    for owner, _, pod in pods(applied):
        for volume in pod["volumes"]:
            secrets = [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
            for secret in secrets:
                assert {item["key"] for item in secret["items"]} <= {one["secretKey"] for one in made[secret["name"]]}
            if "secret" in volume:
                assert volume["secret"]["secretName"] in made, owner


@each_applied
def test_the_key_file_is_where_the_pod_puts_it(applied: str) -> None:
    (config,) = (one["data"] for name, one in named(applied, "ConfigMap").items() if name.startswith("settings-"))
    assert config["KEY_FILE"].rpartition("/")[0] == KEY_FOLDER
    for owner, labels, pod in pods(applied):
        if labels["app.kubernetes.io/component"] in {"function", "migrate", "command-line"}:
            mounts = [container["volumeMounts"] for container in containers(pod)]
            assert all({"name": "key", "mountPath": KEY_FOLDER} in found for found in mounts), owner
            assert pod["initContainers"][0]["name"] == "take-key", owner


# The network


def policies(applied: str) -> dict[str, dict[str, Any]]:
    return {name: one["spec"] for name, one in named(applied, "NetworkPolicy").items()}


@each_applied
def test_nobody_may_talk_to_anybody_unless_it_is_said(applied: str) -> None:
    default = policies(applied)["default-deny"]
    assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, spec in policies(applied).items():
        assert name in {"default-deny", "to-dns"} or spec["podSelector"]["matchLabels"], name


@each_applied
def test_names_are_asked_of_the_clusters_pods_or_of_the_cache_on_each_machine(applied: str) -> None:
    (rule,) = policies(applied)["to-dns"]["egress"]
    assert rule["to"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
        {"ipBlock": {"cidr": "169.254.20.10/32"}},
    ]
    assert {(port["protocol"], port["port"]) for port in rule["ports"]} == {("UDP", 53), ("TCP", 53)}


@each_applied
def test_every_policy_is_about_a_pod_that_there_is(applied: str) -> None:
    labels = [found for _, found, _ in pods(applied)]
    if applied == "overlays/prod":
        labels.append(CERT_MANAGERS)
    for name, spec in policies(applied).items():
        assert any(selects(spec["podSelector"], found) for found in labels), name


def test_the_gateway_reaches_cert_managers_proof_as_it_reaches_functions() -> None:
    found = [spec for spec in policies("overlays/prod").values() if selects(spec["podSelector"], CERT_MANAGERS)]
    (rule,) = [rule for spec in found for rule in spec.get("ingress", [])]
    (of_functions,) = policies("overlays/prod")["from-gateway"]["ingress"]
    assert rule == {"from": of_functions["from"], "ports": [{"protocol": "TCP", "port": 8089}]}


@each_applied
@each_function
def test_a_function_reaches_the_parts_that_it_uses_and_no_others(applied: str, name: str) -> None:
    kind = "Service" if applied == "overlays/knative" else "Deployment"
    labels = next(found for owner, found, _ in pods(applied) if owner == f"{kind} {name}")
    to = {
        policy
        for policy, spec in policies(applied).items()
        if "egress" in spec and selects(spec["podSelector"], labels)
    }
    assert to == {"to-dns", "to-telemetry", *(f"to-{part}" for part in FUNCTIONS[name].uses)}


@pytest.mark.parametrize("part", WAYS)
def test_the_internet_is_no_way_into_the_private_network_or_to_the_clouds_metadata(part: str) -> None:
    (rule,) = policies("overlays/prod")[f"to-{part}"]["egress"]
    for peer in rule["to"]:
        if "ipBlock" in peer and peer["ipBlock"]["cidr"] == "0.0.0.0/0":
            assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= {*peer["ipBlock"]["except"]}
    ports = {port["port"] for port in rule["ports"]}
    assert ports == {*WAYS[part].ports}
    assert "from" not in str(rule)


@each_overlay
def test_the_clock_reaches_scheduled_functions_alone(overlay: str) -> None:
    labels = {owner: found for owner, found, _ in pods(overlay)}
    spec = policies(overlay)["from-scheduled-calls"]
    assert {owner for owner, found in labels.items() if selects(spec["podSelector"], found)} == {
        f"Deployment {name}" for name, one in FUNCTIONS.items() if one.schedule
    }
    (peer,) = spec["ingress"][0]["from"]
    assert {owner for owner, found in labels.items() if selects(peer["podSelector"], found)} == {
        f"CronJob {name}" for name, one in FUNCTIONS.items() if one.schedule
    }


@pytest.mark.parametrize(("store", "part"), [(way.store, part) for part, way in WAYS.items() if way.store])
def test_devs_stores_are_reached_by_those_who_use_them_alone(store: str, part: str) -> None:
    labels = {owner: found for owner, found, _ in pods("overlays/dev")}
    spec = policies("overlays/dev")[store]
    (rule,) = spec["ingress"]
    assert {port["port"] for port in rule["ports"]} <= {*WAYS[part].ports}
    (to,) = policies("overlays/dev")[f"to-{part}"]["egress"]
    assert any(
        selects(peer["podSelector"], labels[f"StatefulSet {store}"]) for peer in to["to"] if "podSelector" in peer
    )


# Calls by the clock, the migration, the way in


@each_function
def test_a_scheduled_call_goes_to_its_function_with_a_key_from_a_file(name: str) -> None:
    function = FUNCTIONS[name]
    if function.schedule is None:
        assert all(name not in named(applied, "CronJob") for applied in APPLIED)
        return
    job = named("overlays/prod", "CronJob")[name]["spec"]
    assert (job["schedule"], job["concurrencyPolicy"]) == (function.schedule.cron, "Forbid")
    (container,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith(f"loancheck/{name}:")
    assert container["args"][2:] == [
        f"http://{name}:8080{function.schedule.path}",
        *("--key", "/caller/api-key"),
        *("--seconds", str(function.timeout_seconds)),
    ]
    assert job["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 4 * function.timeout_seconds
    (on_knative,) = named("overlays/knative", "CronJob")[name]["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert on_knative["args"][2] == f"http://{name}.loancheck.svc.cluster.local{function.schedule.path}"


@each_applied
def test_what_the_migration_needs_is_labelled_to_be_applied_with_it(applied: str) -> None:
    first = [one for one in rendered(applied) if one["metadata"].get("labels", {}).get("apply") == "first"]
    there = {f"{one['kind']} {re.sub('-[a-z0-9]{10}$', '', one['metadata']['name'])}" for one in first}
    assert {"Namespace loancheck", "ConfigMap settings", "ServiceAccount migrate", "Job migrate"} <= there
    assert {f"NetworkPolicy {name}" for name in ("default-deny", "to-dns", "to-database")} <= there
    if applied != "overlays/dev":
        assert {"ExternalSecret secret-settings", "ExternalSecret key-encryption-key"} <= there
    assert not {kind for kind in (one["kind"] for one in first) if kind in {"Deployment", "CronJob"}}


@pytest.mark.parametrize("applied", ["overlays/prod", "overlays/knative"])
def test_argo_cd_takes_the_same_order(applied: str) -> None:
    for one in rendered(applied):
        is_first = one["metadata"].get("labels", {}).get("apply") == "first"
        wave = one["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave")
        assert wave == (("-1" if one["kind"] == "Job" else "-2") if is_first else None), one["metadata"]["name"]


@each_applied
def test_the_migration_runs_once_in_an_image_of_ours_and_functions_leave_it_alone(applied: str) -> None:
    (job,) = named(applied, "Job").values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["python", "-m", "common.database.migrations", "upgrade"]
    assert container["image"].split(":")[0] in {f"loancheck/{name}" for name in FUNCTIONS}
    (config,) = (one["data"] for name, one in named(applied, "ConfigMap").items() if name.startswith("settings-"))
    assert config["MIGRATE_ON_START"] == "false"


def test_one_host_leads_to_the_paths_of_all_functions_that_are_called_from_outside() -> None:
    found: dict[str, str] = {}
    for name, route in named("overlays/prod", "HTTPRoute").items():
        assert route["spec"]["parentRefs"] == [{"name": "loancheck", "sectionName": "https"}]
        for rule in route["spec"]["rules"]:
            assert [backend["name"] for backend in rule["backendRefs"]] == [name]
            assert rule["timeouts"] == {"request": f"{FUNCTIONS[name].timeout_seconds}s"}
            if "filters" not in rule:
                found |= {match["path"]["value"]: name for match in rule["matches"]}
    outside = {path: name for name, one in FUNCTIONS.items() if one.is_called_from_outside for path in one.paths}
    assert found == outside
    assert "/metrics" not in found
    gateway = named("overlays/prod", "Gateway")["loancheck"]["spec"]
    assert {listener["name"] for listener in gateway["listeners"]} == {"https", "http"}


@each_overlay
def test_only_pods_that_a_route_leads_to_are_open_to_the_gateway(overlay: str) -> None:
    selector = policies(overlay)["from-gateway"]["podSelector"]
    open_to = {owner for owner, labels, _ in pods(overlay) if selects(selector, labels)}
    assert open_to == {f"Deployment {name}" for name in named("overlays/prod", "HTTPRoute")}


def test_prometheus_scrapes_every_function_with_a_key_and_by_its_name() -> None:
    (monitor,) = named("overlays/prod", "PodMonitor").values()
    scraped = {owner for owner, labels, _ in pods("overlays/prod") if selects(monitor["spec"]["selector"], labels)}
    assert scraped == {f"Deployment {name}" for name in FUNCTIONS}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["path"], endpoint["honorLabels"]) == ("/metrics", True)
    credentials = endpoint["authorization"]["credentials"]
    assert credentials["name"] in named("overlays/prod", "ExternalSecret")
    for _, labels, _ in pods("overlays/prod"):
        if labels["app.kubernetes.io/component"] == "function":
            assert labels["function"] == FUNCTIONS[labels["app.kubernetes.io/name"]].name


@each_function
def test_a_knative_function_that_nobody_calls_from_outside_has_no_address_there(name: str) -> None:
    labels = of_knative()[name]["metadata"]["labels"]
    is_local = labels.get("networking.knative.dev/visibility") == "cluster-local"
    assert is_local != FUNCTIONS[name].is_called_from_outside


def test_dev_needs_no_operator_and_no_gateway() -> None:
    groups = {one["apiVersion"] for one in rendered("overlays/dev")}
    assert groups == {"v1", "apps/v1", "autoscaling/v2", "batch/v1", "networking.k8s.io/v1", "policy/v1"}


def test_kustomizations_keep_to_fields_that_old_and_new_kubectl_have() -> None:
    allowed = {
        "apiVersion", "kind", "namespace", "bases", "resources", "patchesStrategicMerge", "generatorOptions",
        "configMapGenerator", "configurations",
    }  # fmt: skip
    files = [file for file in FOLDER.rglob("kustomization.yaml") if "releases" not in file.parts]
    assert len(files) == 8
    for file in files:
        content = yaml.safe_load(file.read_text())
        assert content.keys() <= allowed, file
        assert all(name.endswith(".yaml") for name in content.get("resources", [])), file


def test_all_that_makes_pods_is_looked_at_here() -> None:
    for applied in APPLIED:
        assert {one["kind"] for one in rendered(applied) if "template" in one.get("spec", {})} <= {*POD_OWNERS}
