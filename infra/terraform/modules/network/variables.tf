variable "project" {
  type = string
}

variable "region" {
  type = string
}

variable "node_range" {
  type = string
}

variable "pod_range" {
  type = string
}

variable "function_range" {
  type = string
}
