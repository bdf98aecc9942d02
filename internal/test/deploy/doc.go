// Package deploy tries what deploy/ has, as far as one machine without a container engine and
// without a cluster can: the manifests in their types, and the programs with their configuration.
package deploy
