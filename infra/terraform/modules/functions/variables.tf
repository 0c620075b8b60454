variable "project" {
  type = string
}

variable "region" {
  type = string
}

variable "bundles" {
  description = "The folder that npm run build makes."
  type        = string
}

variable "environment" {
  description = "Variables of each function."
  type        = map(map(string))
}

variable "accounts" {
  description = "E-mail addresses by short name."
  type        = map(string)
}

variable "max_instances" {
  type = number
}

variable "image_repository" {
  type = string
}

variable "network" {
  type = string
}

variable "function_subnetwork" {
  type = string
}
