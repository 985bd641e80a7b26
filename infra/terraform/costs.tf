# What is paid for while nobody asks: USD a month. A test holds the figures to infra/costs, which has their sources;
# of the edge 0.025 an hour for the forwarding rule, 5 for the policy and 1 for each of its rules, as
# https://cloud.google.com/vpc/network-pricing and https://cloud.google.com/armor/pricing have it.

locals {
  # An instance that is kept ready and serves nobody: 0.0000025 USD a second for each vCPU, and as much for each GiB.
  ready_usd = sum(concat([0], [
    for one in local.functions : one.min_instances * (one.cpu + one.memory_mb / 1024) * 0.0000025 * 730 * 3600
  ]))

  idle_usd = merge(
    { base = 0.31 },
    var.database.enabled ? { database = 10.17 } : {},
    var.redis.enabled ? { redis = 35.77 } : {},
    var.chroma.enabled ? { chroma = 14.23 } : {},
    var.edge.enabled ? { edge = 33.25 } : {},
    local.ready_usd > 0 ? { functions = tonumber(format("%.2f", local.ready_usd)) } : {},
  )
}
