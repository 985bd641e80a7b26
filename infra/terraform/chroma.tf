# A Chroma server on a machine without an address of its own: functions reach it inside the network, and it gets its
# image through a registry of ours that fetches from Docker Hub.

locals {
  chroma_port = 8000
  chroma_url  = var.chroma.enabled ? "http://${one(google_compute_address.chroma[*].address)}:${local.chroma_port}" : null
  chroma_image = var.chroma.enabled ? join("/", [
    "${var.region}-docker.pkg.dev", var.project_id, one(google_artifact_registry_repository.docker_hub[*].repository_id), "chromadb/chroma:${var.chroma.version}",
  ]) : null
}

resource "google_artifact_registry_repository" "docker_hub" {
  # checkov:skip=CKV_GCP_84: images of Docker Hub are public
  count = var.chroma.enabled ? 1 : 0

  repository_id = "${local.prefix}-docker-hub"
  description   = "Images of Docker Hub, for machines without a way to the internet."
  location      = var.region
  format        = "DOCKER"
  mode          = "REMOTE_REPOSITORY"

  remote_repository_config {
    docker_repository {
      public_repository = "DOCKER_HUB"
    }
  }

  depends_on = [google_project_service.this]
}

resource "google_service_account" "chroma" {
  count = var.chroma.enabled ? 1 : 0

  account_id   = "${local.prefix}-chroma"
  display_name = "Chroma server of ${local.prefix}"

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "chroma" {
  count = var.chroma.enabled ? 1 : 0

  repository = google_artifact_registry_repository.docker_hub[0].name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.chroma[0].member
}

resource "google_project_iam_member" "chroma_writes_logs" {
  count = var.chroma.enabled ? 1 : 0

  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.chroma[0].member
}

resource "google_compute_disk" "chroma" {
  # checkov:skip=CKV_GCP_37: Google encrypts it at rest; vectors are made again from the database, where texts are sealed
  count = var.chroma.enabled ? 1 : 0

  name = "${local.prefix}-chroma"
  type = "pd-balanced"
  zone = "${var.region}-b" # every region has one
  size = var.chroma.disk_gb

  depends_on = [google_project_service.this]
}

resource "google_compute_address" "chroma" {
  count = var.chroma.enabled ? 1 : 0

  name         = "${local.prefix}-chroma"
  address_type = "INTERNAL"
  purpose      = "GCE_ENDPOINT"
  subnetwork   = google_compute_subnetwork.functions[0].id
  region       = var.region
}

resource "google_compute_instance_template" "chroma" {
  count = var.chroma.enabled ? 1 : 0

  name_prefix  = "${local.prefix}-chroma-"
  machine_type = var.chroma.machine_type
  tags         = ["${local.prefix}-chroma"]

  disk {
    source_image = "projects/cos-cloud/global/images/family/cos-stable"
    boot         = true
  }

  # The disk with the vectors outlives every machine.
  disk {
    source      = google_compute_disk.chroma[0].name
    device_name = "chroma"
    auto_delete = false
    boot        = false
  }

  network_interface {
    subnetwork = google_compute_subnetwork.functions[0].id
    network_ip = google_compute_address.chroma[0].address
  }

  service_account {
    email  = google_service_account.chroma[0].email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  metadata = {
    block-project-ssh-keys = "true"
    google-logging-enabled = "true"
    serial-port-enable     = "false"
    user-data              = templatefile("${path.module}/chroma.cloud-init.yaml", { image = local.chroma_image, port = local.chroma_port, region = var.region })
  }

  lifecycle {
    create_before_destroy = true
  }
}

# A group of one: a machine that hangs is replaced, with the same address and disk.
resource "google_compute_instance_group_manager" "chroma" {
  count = var.chroma.enabled ? 1 : 0

  name               = "${local.prefix}-chroma"
  base_instance_name = "${local.prefix}-chroma"
  zone               = google_compute_disk.chroma[0].zone
  target_size        = 1

  version {
    instance_template = google_compute_instance_template.chroma[0].self_link_unique
  }

  update_policy {
    type                  = "PROACTIVE"
    minimal_action        = "REPLACE"
    replacement_method    = "RECREATE"
    max_surge_fixed       = 0
    max_unavailable_fixed = 1
  }

  auto_healing_policies {
    health_check      = google_compute_health_check.chroma[0].id
    initial_delay_sec = 300
  }

  depends_on = [google_artifact_registry_repository_iam_member.chroma]
}

resource "google_compute_health_check" "chroma" {
  count = var.chroma.enabled ? 1 : 0

  name                = "${local.prefix}-chroma"
  check_interval_sec  = 30
  timeout_sec         = 10
  unhealthy_threshold = 4

  http_health_check {
    port         = local.chroma_port
    request_path = "/api/v2/heartbeat"
  }

  depends_on = [google_project_service.this]
}

resource "google_compute_firewall" "chroma" {
  count = var.chroma.enabled ? 1 : 0

  name          = "${local.prefix}-chroma"
  description   = "Functions to Chroma, and nobody else."
  network       = google_compute_network.this[0].id
  direction     = "INGRESS"
  source_ranges = [var.network_range, "35.191.0.0/16", "130.211.0.0/22"]
  target_tags   = ["${local.prefix}-chroma"]

  allow {
    protocol = "tcp"
    ports    = [tostring(local.chroma_port)]
  }
}
