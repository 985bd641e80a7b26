# Deploys from GitHub without keys: a workflow's own token is exchanged for a short-lived one of the accounts below, by
# Workload Identity Federation. It has to come from the repository, and either from a pull request, which may plan, or
# from the branch and GitHub's environment of this name, which may deploy. Forks get no token of GitHub's at all.
#
# Who may deploy is decided by people: a deploy can change neither the federation nor its own roles in the project. That
# keeps from mistakes, not from malice: who administers accounts, secrets and keys, as a deploy must, can give itself the
# use of each. So prod has reviewers and a project of its own.

locals {
  pipeline    = var.github_repository == null ? toset([]) : toset(["github"])
  from_github = "https://token.actions.githubusercontent.com"

  may_plan   = "assertion.event_name == 'pull_request'"
  may_deploy = "assertion.event_name != 'pull_request' && assertion.ref == 'refs/heads/${var.github_branch}' && assertion.environment == '${var.environment}'"

  # What a deploy does, by role. Most of it is Terraform's; `infra/deploy` needs run.admin and monitoring.editor alone.
  deployer_roles = merge(
    {
      "roles/artifactregistry.admin"         = "the repository of images, and who may write it"
      "roles/cloudfunctions.developer"       = "functions, built from the archive"
      "roles/cloudkms.admin"                 = "the key and who may use it"
      "roles/cloudscheduler.admin"           = "calls by the clock"
      "roles/iam.securityReviewer"           = "to see who may do what, as it was left"
      "roles/iam.serviceAccountAdmin"        = "an account for each function"
      "roles/iam.workloadIdentityPoolViewer" = "to see that the federation is as it was"
      "roles/logging.configWriter"           = "buckets, sinks and metrics of logs"
      "roles/monitoring.editor"              = "alerts, and the figures that a deploy is judged by"
      "roles/pubsub.admin"                   = "topics, and who may write them"
      "roles/run.admin"                      = "traffic of services, who may call them, and the job of migrations"
      "roles/secretmanager.admin"            = "secrets that are made here, and who may read them"
      "roles/serviceusage.serviceUsageAdmin" = "the APIs that have to be on"
    },
    local.needs_network || var.edge.enabled ? {
      "roles/compute.networkAdmin" = "the network, and the load balancer"
    } : {},
    var.database.enabled || var.redis.enabled ? {
      "roles/servicenetworking.networksAdmin" = "the joint with Google's network"
    } : {},
    var.database.enabled ? { "roles/cloudsql.admin" = "the database" } : {},
    var.redis.enabled ? { "roles/redis.admin" = "Redis" } : {},
    var.billing_export != null ? { "roles/bigquery.metadataViewer" = "who may read the bill" } : {},
    var.chroma.enabled ? { "roles/compute.instanceAdmin.v1" = "Chroma's machine and disk" } : {},
    var.chroma.enabled || var.edge.enabled ? {
      "roles/compute.securityAdmin" = "Chroma's firewall; Cloud Armor and certificates of the edge"
    } : {},
  )

  # What accounts that are made here get for the whole project, and so what a deploy may give: none of them gives on.
  roles_to_give = [
    "roles/aiplatform.user", "roles/bigquery.jobUser", "roles/cloudtrace.agent", "roles/logging.logWriter",
  ]

  # Roles by what they are for are not enough where a function is to run as an account.
  runs_as = merge(
    { for name, one in google_service_account.function : "function/${name}" => one.name },
    { for name, one in google_service_account.migrations : "migrations/${name}" => one.name },
    { build = google_service_account.build.name, events = google_service_account.events.name, scheduler = google_service_account.scheduler.name },
    { for index, one in google_service_account.chroma : "chroma/${index}" => one.name },
  )
}

resource "google_iam_workload_identity_pool" "github" {
  for_each = local.pipeline

  workload_identity_pool_id = "${local.prefix}-github"
  display_name              = "GitHub, ${local.prefix}"
  description               = "Workflows of ${var.github_repository}."

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  # checkov:skip=CKV_GCP_125: it looks at the claim sub alone, whose form a repository can change; here each claim is held
  for_each = local.pipeline

  workload_identity_pool_id          = google_iam_workload_identity_pool.github[each.key].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
    "attribute.may"        = "${local.may_plan} ? 'plan' : 'deploy'"
  }
  # A claim that is missing, as environment is of a job that names none, makes it false.
  attribute_condition = "assertion.repository == '${var.github_repository}' && (${local.may_plan} || (${local.may_deploy}))"

  oidc {
    issuer_uri = local.from_github
  }
}

# The account of deploys

resource "google_service_account" "deployer" {
  for_each = local.pipeline

  account_id   = "${local.prefix}-deployer"
  display_name = "Deploys ${local.prefix}"

  depends_on = [google_project_service.this]
}

resource "google_service_account_iam_member" "deployer_from_github" {
  for_each = local.pipeline

  service_account_id = google_service_account.deployer[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[each.key].name}/attribute.may/deploy"
}

resource "google_project_iam_member" "deployer" {
  # checkov:skip=CKV_GCP_49: serviceAccountAdmin, for each function has an account
  for_each = { for role, why in local.deployer_roles : role => why if length(local.pipeline) > 0 }

  project = var.project_id
  role    = each.key
  member  = google_service_account.deployer["github"].member
}

resource "google_project_iam_member" "deployer_gives_roles" {
  for_each = local.pipeline

  project = var.project_id
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = google_service_account.deployer[each.key].member

  condition {
    title       = "Roles of functions alone"
    description = "It gives and takes what functions have for the whole project, and nothing more."
    expression  = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([${join(", ", [for role in local.roles_to_give : "'${role}'"])}])"
  }
}

resource "google_project_iam_member" "deployer_keeps_buckets" {
  for_each = local.pipeline

  project = var.project_id
  role    = "roles/storage.admin"
  member  = google_service_account.deployer[each.key].member

  condition {
    title       = "Buckets of ${local.prefix} alone"
    description = "Archives of the source, documents, and reports."
    expression  = "(resource.type != 'storage.googleapis.com/Bucket' && resource.type != 'storage.googleapis.com/Object') || resource.name.startsWith('projects/_/buckets/${var.project_id}-${local.prefix}-')"
  }
}

resource "google_service_account_iam_member" "deployer_runs_as" {
  for_each = { for key, account in local.runs_as : key => account if length(local.pipeline) > 0 }

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.deployer["github"].member
}

# Smoke and golden questions are asked as the operator.
resource "google_service_account_iam_member" "deployer_asks" {
  for_each = local.pipeline

  service_account_id = google_service_account.operator.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = google_service_account.deployer[each.key].member
}

resource "google_storage_bucket_iam_member" "deployer_writes_state" {
  for_each = local.pipeline

  bucket = var.state_bucket
  role   = "roles/storage.objectUser"
  member = google_service_account.deployer[each.key].member
}

# The account of plans: `terraform plan -refresh=false -lock=false` reads the state, the project's number and the image
# of the migrations, and so no secret, no key and nothing that people wrote.

resource "google_service_account" "planner" {
  for_each = local.pipeline

  account_id   = "${local.prefix}-planner"
  display_name = "Plans ${local.prefix} on pull requests"

  depends_on = [google_project_service.this]
}

resource "google_service_account_iam_member" "planner_from_github" {
  for_each = local.pipeline

  service_account_id = google_service_account.planner[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[each.key].name}/attribute.may/plan"
}

resource "google_project_iam_member" "planner" {
  for_each = length(local.pipeline) == 0 ? {} : {
    "roles/browser"    = "the project's number"
    "roles/run.viewer" = "the image that a service runs"
  }

  project = var.project_id
  role    = each.key
  member  = google_service_account.planner["github"].member
}

resource "google_storage_bucket_iam_member" "planner_reads_state" {
  for_each = local.pipeline

  bucket = var.state_bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.planner[each.key].member
}
