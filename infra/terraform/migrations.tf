# The job that brings the database's schema up to date: run once a deploy, before the new revisions get traffic, with
# their image, which the deploy sets. It is as small as it can be: the database's URL, the key, and nobody calls it.

locals {
  # Every function's image has the command; the first that uses the database lends its own until the first deploy.
  lends_image = slice(sort(keys(local.uses["database"])), 0, min(1, length(local.uses["database"])))
  migrations  = { for name in local.lends_image : "this" => name }

  migrations_environment = merge(var.settings, {
    ENVIRONMENT          = "production"
    DATA_DIR             = "/tmp"
    GOOGLE_CLOUD_PROJECT = var.project_id
    KMS_KEY              = google_kms_crypto_key.data.id
    TRACE_EXPORTER       = "none"
  })
}

resource "google_service_account" "migrations" {
  for_each = local.migrations

  account_id   = "${local.prefix}-migrate"
  display_name = "Migrates the database of ${local.prefix}"

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_iam_member" "migrations" {
  for_each = local.migrations

  secret_id = local.all_secrets["DATABASE_URL"].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.migrations[each.key].member
}

resource "google_kms_crypto_key_iam_member" "migrations" {
  for_each = local.migrations

  crypto_key_id = google_kms_crypto_key.data.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = google_service_account.migrations[each.key].member
}

# Asked for by what the function tells of its service, which is not known before there is one: so the first apply reads
# it after it has made the function, and every later plan at once.
data "google_cloud_run_v2_service" "lends_image" {
  for_each = local.migrations

  name     = basename(google_cloudfunctions2_function.this[each.value].service_config[0].service)
  location = var.region
}

resource "google_cloud_run_v2_job" "migrations" {
  for_each = local.migrations

  name                = "${local.prefix}-migrate"
  location            = var.region
  deletion_protection = false # there is nothing in it

  template {
    template {
      service_account = google_service_account.migrations[each.key].email
      max_retries     = 0 # what failed is looked at first
      timeout         = "900s"

      containers {
        image   = data.google_cloud_run_v2_service.lends_image[each.key].template[0].containers[0].image
        command = ["/cnb/lifecycle/launcher"] # of Cloud Native Buildpacks: it sets up what the image's own command has
        args    = ["python", "-m", "common.database.migrations", "upgrade"]

        resources {
          limits = { cpu = "1", memory = "512Mi" }
        }

        dynamic "env" {
          for_each = local.migrations_environment
          content {
            name  = env.key
            value = env.value
          }
        }
        env {
          name = "DATABASE_URL"
          value_source {
            secret_key_ref {
              secret  = local.all_secrets["DATABASE_URL"].id
              version = local.all_secrets["DATABASE_URL"].version
            }
          }
        }
      }

      dynamic "vpc_access" {
        for_each = google_compute_subnetwork.functions
        content {
          egress = "PRIVATE_RANGES_ONLY"
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.name
            tags       = [local.network_tag]
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version, template[0].template[0].containers[0].image] # the deploy's
  }

  depends_on = [google_secret_manager_secret_iam_member.migrations, google_kms_crypto_key_iam_member.migrations]
}
