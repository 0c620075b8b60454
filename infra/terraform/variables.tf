variable "project" {
  description = "The Google Cloud project. It should hold nothing else."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lower-case letters, digits and dashes."
  }
}

variable "region" {
  description = "Where functions, data, queue, subnetwork and load balancers are."
  type        = string
  default     = "us-central1"
}

variable "database" {
  description = "The Firestore database. Only the one named (default) has the free tier."
  type        = string
  default     = "(default)"
}

variable "is_database_protected" {
  description = "Whether Google refuses to delete the database. infra/destroy needs false."
  type        = bool
  default     = false
}

variable "api_url" {
  description = "URL of the api function when it is not Google's own (a domain of yours); https, no slash at the end."
  type        = string
  default     = ""
}

variable "node_range" {
  description = "Addresses of VMs."
  type        = string
  default     = "10.128.0.0/20"
}

variable "pod_range" {
  description = "Addresses of pods; each VM gets a /24 of it."
  type        = string
  default     = "10.4.0.0/14"
}

variable "function_range" {
  description = "Addresses from which the api function reaches VMs; at least a /26."
  type        = string
  default     = "10.127.0.0/24"
}

variable "agent_image" {
  description = "Image of the node agent, by its digest. infra/deploy builds it and says which."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.agent_image))
    error_message = "An image with its digest: REGISTRY/NAME@sha256:..."
  }
}

variable "health_check_seconds" {
  description = "How often Google probes each VM. 1 notices a dead VM within 3 seconds."
  type        = number
  default     = 1

  validation {
    condition     = var.health_check_seconds >= 1 && var.health_check_seconds <= 300
    error_message = "Google's health checks allow 1 to 300 seconds."
  }
}

variable "github_url" {
  description = "GitHub's API; another one for GitHub Enterprise Server."
  type        = string
  default     = "https://api.github.com"
}

variable "max_instances" {
  description = "How many instances a function may have: what a flood of requests can cost at most."
  type        = number
  default     = 3
}

variable "billing_account" {
  description = "For a budget alert; empty: none."
  type        = string
  default     = ""
}

variable "budget_amount" {
  description = "Whole units of the billing account's currency a month."
  type        = number
  default     = 50
}
