# The list of functions, as everything else here reads it. What functions.json may say of a function beyond what the
# local tools read, all optional: cpu, concurrency, min_instances, max_instances, uses, schedule {cron, path}, topic.

locals {
  raw = try([for one in jsondecode(file("${path.module}/${var.functions_file}")).functions : one], [])

  listed = try([
    for one in local.raw : {
      name            = tostring(one.name)
      description     = try(tostring(one.description), "")
      source          = tostring(one.source)
      entry_point     = tostring(one.entry_point)
      paths           = [for path in one.paths : tostring(path)]
      triggers        = split("+", one.trigger)
      callers         = tostring(one.callers)
      memory_mb       = tonumber(one.memory_mb)
      timeout_seconds = tonumber(one.timeout_seconds)
      cpu             = try(tonumber(one.cpu), 1)
      concurrency     = try(tonumber(one.concurrency), 1)
      min_instances   = try(tonumber(one.min_instances), 0)
      max_instances   = try(tonumber(one.max_instances), 3)
      uses            = try([for part in one.uses : tostring(part)], [])
      cron            = try(tostring(one.schedule.cron), null)
      called_path     = try(tostring(one.schedule.path), one.paths[0])
      topic           = try(tostring(one.topic), null)
    }
  ], [])

  grouped = { for one in local.listed : one.name => one... }
  functions = {
    for name, ones in local.grouped : name => merge(ones[0], {
      service = "${local.prefix}-${replace(name, "_", "-")}"
      # What Cloud Run calls a service by before it is there, so that it can be told its own address.
      url        = "https://${local.prefix}-${replace(name, "_", "-")}-${data.google_project.this.number}.${var.region}.run.app"
      is_open    = contains(["public", "api-key"], ones[0].callers) # they check keys and tokens themselves
      is_private = ones[0].callers == "google"
    })
  }

  with_trigger = { for trigger in local.triggers : trigger => { for name, one in local.functions : name => one if contains(one.triggers, trigger) } }
  over_http    = local.with_trigger["http"]
  scheduled    = local.with_trigger["scheduler"]
  subscribed   = merge(local.with_trigger["pubsub"], local.with_trigger["storage"])

  # What is wrong with the list, by the function's name.
  needed_fields  = ["name", "source", "entry_point", "paths", "trigger", "callers", "memory_mb", "timeout_seconds"]
  numbers        = ["memory_mb", "timeout_seconds", "cpu", "concurrency", "min_instances", "max_instances"]
  called         = [for index, one in local.raw : try(tostring(one.name), "function ${index + 1}")]
  missing_fields = flatten([for index, one in local.raw : [for field in local.needed_fields : "${field} of ${local.called[index]}" if try(one[field], null) == null]])
  bad_numbers    = flatten([for index, one in local.raw : [for field in local.numbers : "${field} of ${local.called[index]}" if try(one[field], null) != null && !can(tonumber(one[field]))]])
  triggers       = ["http", "scheduler", "pubsub", "storage"]
  all_paths      = flatten(local.listed[*].paths)
  double_paths   = distinct([for path in local.all_paths : path if length([for other in local.all_paths : other if other == path]) > 1])
  names_too_long = [for one in local.listed : one.name if !can(regex("^[a-z][a-z0-9_]*[a-z0-9]$", one.name)) || length("${local.prefix}-${one.name}") > 30]
  bad_callers    = [for one in local.listed : one.name if !contains(["public", "api-key", "google"], one.callers)]
  bad_triggers = [
    for one in local.listed : one.name
    if length(setsubtract(one.triggers, local.triggers)) > 0
    || contains(one.triggers, "scheduler") != (one.cron != null)
    || contains(one.triggers, "pubsub") != (one.topic != null)
    || (contains(one.triggers, "pubsub") && contains(one.triggers, "storage"))
  ]
  bad_sizes = [
    for one in local.listed : one.name
    if one.memory_mb < 128 || one.memory_mb > 32768 || one.timeout_seconds < 1
    || one.timeout_seconds > (length(setintersection(one.triggers, ["pubsub", "storage"])) > 0 ? 600 : contains(one.triggers, "scheduler") ? 1800 : 3600)
    || (one.concurrency > 1 && one.cpu < 1) || one.max_instances < max(1, one.min_instances)
  ]
  bad_uses = [for one in local.listed : one.name if length(setsubtract(one.uses, keys(local.parts))) > 0]
}

# What is wrong with the list of functions is told before anything is planned, by the field. (A variable's validation
# cannot look into the file: what is read of it depends on the variable.)

resource "terraform_data" "functions_list" {
  input = sha256(jsonencode(local.listed))

  lifecycle {
    precondition {
      condition     = length(local.listed) > 0
      error_message = "functions.json: must be JSON with a list of functions, each with ${join(", ", local.needed_fields)}."
    }
    precondition {
      condition     = length(local.missing_fields) == 0
      error_message = "functions.json: must have ${join(", ", local.missing_fields)}."
    }
    precondition {
      condition     = length(local.bad_numbers) == 0
      error_message = "functions.json: must be numbers: ${join(", ", local.bad_numbers)}."
    }
    precondition {
      condition     = length(local.listed) == 0 || contains(local.listed[*].name, "health")
      error_message = "functions.json: name must be health for one of them: its address is watched, and what no path of the edge leads to goes there."
    }
    precondition {
      condition     = length(distinct(local.listed[*].name)) == length(local.listed)
      error_message = "functions.json: name must be different for each function."
    }
    precondition {
      condition     = length(local.names_too_long) == 0
      error_message = "functions.json: name of ${join(", ", local.names_too_long)} must be of a-z, 0-9 and _, and with name and environment before it have 30 characters at most."
    }
    precondition {
      condition     = length(local.bad_triggers) == 0
      error_message = "functions.json: trigger of ${join(", ", local.bad_triggers)} must be of http, scheduler, pubsub and storage, joined by +; with scheduler goes schedule, with pubsub topic."
    }
    precondition {
      condition     = length(local.bad_callers) == 0
      error_message = "functions.json: callers of ${join(", ", local.bad_callers)} must be public, api-key or google."
    }
    precondition {
      condition     = length(distinct(local.all_paths)) == length(local.all_paths)
      error_message = "functions.json: paths must be different for each function, or one host could not serve them all: ${join(", ", local.double_paths)}."
    }
    precondition {
      condition     = alltrue([for path in local.all_paths : can(regex("^/[a-z0-9/_-]+$", path))])
      error_message = "functions.json: paths must begin with / and be of a-z, 0-9, _, - and /."
    }
    precondition {
      condition     = length(local.bad_sizes) == 0
      error_message = "functions.json: ${join(", ", local.bad_sizes)}: memory_mb must be 128 to 32768, timeout_seconds 1 to 3600 (600 where Pub/Sub or storage calls, 1800 where a scheduler does), cpu at least 1 where concurrency is more than 1."
    }
    precondition {
      condition     = length(local.bad_uses) == 0
      error_message = "functions.json: uses of ${join(", ", local.bad_uses)} must be of ${join(", ", keys(local.parts))}."
    }
  }
}
