# A network for the parts with private addresses; without such a part there is none.

locals {
  network_tag = "${local.prefix}-function"
}

resource "google_compute_network" "this" {
  count = local.needs_network ? 1 : 0

  name                    = local.prefix
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "functions" {
  count = local.needs_network ? 1 : 0

  name                     = "${local.prefix}-functions"
  network                  = google_compute_network.this[0].id
  region                   = var.region
  ip_cidr_range            = var.network_range
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_15_MIN"
    flow_sampling        = 0.1
    metadata             = "EXCLUDE_ALL_METADATA"
  }
}

# Cloud SQL and Memorystore live in a network of Google's that is joined to ours.
resource "google_compute_global_address" "services" {
  count = var.database.enabled || var.redis.enabled ? 1 : 0

  name          = "${local.prefix}-services"
  network       = google_compute_network.this[0].id
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 20
}

resource "google_service_networking_connection" "services" {
  count = length(google_compute_global_address.services)

  network                 = google_compute_network.this[0].id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services[0].name]
  deletion_policy         = "ABANDON" # Google keeps it for days after the last instance, and refuses to let it go
}
