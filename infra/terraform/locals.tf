# What several files here need, and the APIs that have to be on.

locals {
  root   = "${path.module}/../.."
  prefix = "${var.name}-${var.environment}"

  labels = {
    app         = "loan-collateral-check"
    environment = var.environment
    cost-center = var.cost_center
    managed-by  = "terraform"
  }

  # What a function may use, and the secrets that go with it. Roles are in iam.tf.
  parts = {
    database = ["DATABASE_URL"]
    keys     = []
    limits   = ["REDIS_URL"]
    models   = ["GEMINI_API_KEY"]
    vectors  = ["CHROMA_TOKEN"]
    archive  = []
    notices  = ["SMTP_URL", "NOTICE_WEBHOOK_URL", "NOTICE_WEBHOOK_SECRET"]
    bill     = []
  }
  for_all         = ["PSEUDONYM_KEY", "PUSHGATEWAY_URL"]
  secret_settings = concat(flatten(values(local.parts)), local.for_all, ["API_KEY"])

  needs_network = var.database.enabled || var.redis.enabled || var.chroma.enabled
}

data "google_project" "this" {
  project_id = var.project_id
}

locals {
  apis = concat(
    [
      "artifactregistry.googleapis.com", "cloudbuild.googleapis.com", "cloudfunctions.googleapis.com",
      "cloudkms.googleapis.com", "cloudscheduler.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com",
      "logging.googleapis.com", "monitoring.googleapis.com", "pubsub.googleapis.com", "run.googleapis.com",
      "secretmanager.googleapis.com", "storage.googleapis.com",
    ],
    var.trace_exporter == "cloud-trace" ? ["cloudtrace.googleapis.com"] : [],
    var.billing_account != null ? ["billingbudgets.googleapis.com"] : [],
    local.needs_network || var.edge.enabled ? ["compute.googleapis.com", "servicenetworking.googleapis.com"] : [],
    var.database.enabled ? ["sqladmin.googleapis.com"] : [],
    var.redis.enabled ? ["redis.googleapis.com"] : [],
    var.model == "vertex" ? ["aiplatform.googleapis.com"] : [],
    var.billing_export != null ? ["bigquery.googleapis.com"] : [],
    var.github_repository != null ? ["cloudresourcemanager.googleapis.com", "sts.googleapis.com"] : [],
  )
}

resource "google_project_service" "this" {
  for_each = toset(local.apis)

  project            = var.project_id
  service            = each.key
  disable_on_destroy = false # others in the project may use it
}
