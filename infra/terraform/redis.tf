# The counters of limits, in one place for all instances. Its password is made by Memorystore, and so stands in the state:
# there is no write-only way to get at it. It opens nothing from outside the network.

locals {
  redis_authority_folder = "/etc/loan-collateral-check"
}

resource "google_redis_instance" "this" {
  count = var.redis.enabled ? 1 : 0

  name                    = local.prefix
  region                  = var.region
  tier                    = var.redis.high_available ? "STANDARD_HA" : "BASIC"
  memory_size_gb          = var.redis.memory_gb
  redis_version           = "REDIS_7_2"
  connect_mode            = "PRIVATE_SERVICE_ACCESS"
  authorized_network      = google_compute_network.this[0].id
  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"

  depends_on = [google_service_networking_connection.services]
}

resource "google_secret_manager_secret" "redis_url" {
  count = var.redis.enabled ? 1 : 0

  secret_id = "${local.prefix}-redis-url"
  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "redis_url" {
  count = var.redis.enabled ? 1 : 0

  secret = google_secret_manager_secret.redis_url[0].id
  secret_data_wo = format(
    "rediss://:%s@%s:%d/0?ssl_ca_certs=%s/redis.pem",
    google_redis_instance.this[0].auth_string,
    google_redis_instance.this[0].host,
    google_redis_instance.this[0].port,
    local.redis_authority_folder,
  )
  secret_data_wo_version = 1

  lifecycle {
    replace_triggered_by  = [google_redis_instance.this[0].host, google_redis_instance.this[0].auth_string]
    create_before_destroy = true
  }
}

resource "google_secret_manager_secret" "redis_authority" {
  count = var.redis.enabled ? 1 : 0

  secret_id = "${local.prefix}-redis-authority"
  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

# A certificate, which is no secret; it lies here because a function gets files from nowhere else.
resource "google_secret_manager_secret_version" "redis_authority" {
  count = var.redis.enabled ? 1 : 0

  secret      = google_secret_manager_secret.redis_authority[0].id
  secret_data = join("\n", google_redis_instance.this[0].server_ca_certs[*].cert)
}
