# PostgreSQL with a private address alone. The password is made by nobody and seen by nobody: it goes into Secret Manager
# first, and is read from there for the user and for the URL, so that an apply that was cut off goes on with the same.

resource "google_sql_database_instance" "this" {
  # checkov:skip=CKV_GCP_6: TLS is required; a certificate for each client would be one more key that functions keep
  # checkov:skip=CKV_GCP_79: a new major version is taken when the product is tested with it
  # checkov:skip=CKV_GCP_108: functions have addresses of Google's, whose names say nothing
  # checkov:skip=CKV_GCP_109: a statement that fails would be logged with what people asked
  # checkov:skip=CKV_GCP_110: pgAudit logs statements; the product has an audit of its own, signed and without texts
  # checkov:skip=CKV_GCP_111: statements hold what people asked
  # checkov:skip=CKV2_GCP_13: statements hold what people asked
  count = var.database.enabled ? 1 : 0

  name                = local.prefix
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = var.deletion_protection

  settings {
    tier                        = var.database.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.database.high_available ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = var.database.disk_gb
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection
    user_labels                 = local.labels # default_labels do not get here

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.this[0].id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      start_time                     = "03:00"
      transaction_log_retention_days = min(7, var.database.backups)
      backup_retention_settings {
        retained_backups = var.database.backups
      }
    }

    maintenance_window {
      day          = 7
      hour         = 4
      update_track = "stable"
    }

    insights_config {
      query_insights_enabled = true
      record_client_address  = false
    }

    database_flags {
      name  = "max_connections"
      value = tostring(var.database.max_connections)
    }
    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }
    database_flags {
      name  = "log_connections"
      value = "on"
    }
    database_flags {
      name  = "log_disconnections"
      value = "on"
    }
    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }
    database_flags {
      name  = "log_temp_files"
      value = "0"
    }
    database_flags {
      name  = "log_min_duration_statement"
      value = "-1" # statements hold what people asked
    }
    database_flags {
      name  = "log_min_error_statement"
      value = "panic" # likewise
    }
  }

  lifecycle {
    ignore_changes = [settings[0].disk_size] # it grows by itself
  }

  depends_on = [google_service_networking_connection.services]
}

resource "google_sql_database" "this" {
  count = var.database.enabled ? 1 : 0

  name     = "loan_collateral"
  instance = google_sql_database_instance.this[0].name
}

resource "google_secret_manager_secret" "database_password" {
  count = var.database.enabled ? 1 : 0

  secret_id = "${local.prefix}-database-password"
  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "database_password" {
  count = var.database.enabled ? 1 : 0

  secret                 = google_secret_manager_secret.database_password[0].id
  secret_data_wo         = sha256("${uuid()}${uuid()}") # another one at each run, and taken where the version is raised alone
  secret_data_wo_version = var.database.password_version
}

ephemeral "google_secret_manager_secret_version" "database_password" {
  count    = var.database.enabled ? 1 : 0
  provider = google.secrets

  # What uuid() gives is known at the apply alone, and so is the name: a plan reads no password, and may be made without
  # the right to read one.
  secret  = "${google_secret_manager_secret.database_password[0].secret_id}${substr(uuid(), 0, 0)}"
  version = google_secret_manager_secret_version.database_password[0].version
}

resource "google_sql_user" "functions" {
  count = var.database.enabled ? 1 : 0

  name                = "functions"
  instance            = google_sql_database_instance.this[0].name
  password_wo         = ephemeral.google_secret_manager_secret_version.database_password[0].secret_data
  password_wo_version = var.database.password_version
  deletion_policy     = "ABANDON" # it owns the tables, and goes with the instance
}

resource "google_secret_manager_secret" "database_url" {
  count = var.database.enabled ? 1 : 0

  secret_id = "${local.prefix}-database-url"
  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "database_url" {
  count = var.database.enabled ? 1 : 0

  secret = google_secret_manager_secret.database_url[0].id
  secret_data_wo = format(
    "postgresql+psycopg://%s:%s@%s/%s?sslmode=require", # pragma: allowlist secret
    google_sql_user.functions[0].name,
    ephemeral.google_secret_manager_secret_version.database_password[0].secret_data,
    google_sql_database_instance.this[0].private_ip_address,
    google_sql_database.this[0].name,
  )
  secret_data_wo_version = var.database.password_version

  lifecycle {
    replace_triggered_by  = [google_sql_database_instance.this[0].private_ip_address]
    create_before_destroy = true
  }
}
