# Everything that Wherry has in a Google Cloud project, except what it makes itself at run time (VMs,
# load balancers): those go with their clusters. What functions expect (names, variables, roles) is
# compared with the code by infra/terraform.test.ts.

data "google_project" "this" {
  project_id = var.project
}

locals {
  number = data.google_project.this.number

  # Google's addresses of functions, known before they are made.
  urls    = { for name in local.functions : name => "https://wherry-${name}-${local.number}.${var.region}.run.app" }
  api_url = var.api_url != "" ? var.api_url : local.urls["api"]

  functions = ["api", "reconcile", "cloud", "deploys", "signals", "sweep"]

  # Which topics a function publishes to.
  publishes = {
    api       = ["wherry-changes", "wherry-cloud", "wherry-deploys"]
    reconcile = ["wherry-nodes", "wherry-cloud", "wherry-deploys"]
    cloud     = ["wherry-changes", "wherry-cloud"]
    deploys   = ["wherry-changes"]
    signals   = ["wherry-cloud"]
    sweep     = ["wherry-changes", "wherry-cloud", "wherry-deploys", "wherry-nodes"]
  }

  # Which functions ask Cloud Tasks for wake-ups.
  with_timers = ["reconcile", "cloud", "deploys", "sweep"]

  environment = {
    api = {
      WHERRY_PROJECT  = var.project
      WHERRY_REGION   = var.region
      WHERRY_DATABASE = var.database
      WHERRY_API_URL  = local.api_url
    }
    reconcile = {
      WHERRY_PROJECT       = var.project
      WHERRY_REGION        = var.region
      WHERRY_DATABASE      = var.database
      WHERRY_OWN_URL       = local.urls["reconcile"]
      WHERRY_INVOKER       = module.accounts.emails["invoker"]
      WHERRY_QUEUE         = module.messaging.queue
      WHERRY_TIMER_ACCOUNT = module.accounts.emails["timers"]
    }
    cloud = {
      WHERRY_PROJECT              = var.project
      WHERRY_REGION               = var.region
      WHERRY_DATABASE             = var.database
      WHERRY_API_URL              = local.api_url
      WHERRY_OWN_URL              = local.urls["cloud"]
      WHERRY_INVOKER              = module.accounts.emails["invoker"]
      WHERRY_QUEUE                = module.messaging.queue
      WHERRY_TIMER_ACCOUNT        = module.accounts.emails["timers"]
      WHERRY_NETWORK              = module.network.network
      WHERRY_SUBNETWORK           = module.network.node_subnetwork
      WHERRY_POD_RANGE            = module.network.pod_range_name
      WHERRY_NODE_ACCOUNT         = module.accounts.emails["nodes"]
      WHERRY_AGENT_IMAGE          = var.agent_image
      WHERRY_HEALTH_CHECK_SECONDS = tostring(var.health_check_seconds)
    }
    deploys = {
      WHERRY_PROJECT       = var.project
      WHERRY_REGION        = var.region
      WHERRY_DATABASE      = var.database
      WHERRY_OWN_URL       = local.urls["deploys"]
      WHERRY_INVOKER       = module.accounts.emails["invoker"]
      WHERRY_QUEUE         = module.messaging.queue
      WHERRY_TIMER_ACCOUNT = module.accounts.emails["timers"]
      WHERRY_GITHUB_URL    = var.github_url
    }
    signals = {
      WHERRY_PROJECT  = var.project
      WHERRY_DATABASE = var.database
      WHERRY_OWN_URL  = local.urls["signals"]
      WHERRY_INVOKER  = module.accounts.emails["invoker"]
    }
    sweep = {
      WHERRY_PROJECT       = var.project
      WHERRY_REGION        = var.region
      WHERRY_DATABASE      = var.database
      WHERRY_OWN_URL       = local.urls["sweep"]
      WHERRY_INVOKER       = module.accounts.emails["invoker"]
      WHERRY_QUEUE         = module.messaging.queue
      WHERRY_TIMER_ACCOUNT = module.accounts.emails["timers"]
    }
  }
}

module "services" {
  source  = "./modules/services"
  project = var.project
}

module "accounts" {
  source     = "./modules/accounts"
  project    = var.project
  depends_on = [module.services]
}

module "database" {
  source       = "./modules/database"
  project      = var.project
  location     = var.region
  name         = var.database
  is_protected = var.is_database_protected
  indexes_file = "${path.root}/../../firestore.indexes.json"
  depends_on   = [module.services]
}

module "network" {
  source         = "./modules/network"
  project        = var.project
  region         = var.region
  node_range     = var.node_range
  pod_range      = var.pod_range
  function_range = var.function_range
  depends_on     = [module.services]
}

module "images" {
  source       = "./modules/images"
  project      = var.project
  region       = var.region
  node_account = module.accounts.emails["nodes"]
  depends_on   = [module.services]
}

module "functions" {
  source              = "./modules/functions"
  project             = var.project
  region              = var.region
  bundles             = "${path.root}/../../dist/functions"
  environment         = local.environment
  accounts            = module.accounts.emails
  max_instances       = var.max_instances
  image_repository    = module.images.functions_repository
  network             = module.network.network
  function_subnetwork = module.network.function_subnetwork
  depends_on          = [module.services, module.accounts, module.database]
}

module "messaging" {
  source         = "./modules/messaging"
  project        = var.project
  project_number = local.number
  region         = var.region
  urls           = local.urls
  accounts       = module.accounts.emails
  publishes      = local.publishes
  with_timers    = local.with_timers
  depends_on     = [module.services]
}

module "schedule" {
  source     = "./modules/schedule"
  project    = var.project
  region     = var.region
  url        = local.urls["sweep"]
  invoker    = module.accounts.emails["invoker"]
  depends_on = [module.functions]
}

module "signals" {
  source     = "./modules/signals"
  project    = var.project
  topic      = module.messaging.topics["wherry-signals"]
  depends_on = [module.services]
}

module "budget" {
  source          = "./modules/budget"
  count           = var.billing_account == "" ? 0 : 1
  project_number  = local.number
  billing_account = var.billing_account
  amount          = var.budget_amount
  depends_on      = [module.services]
}
