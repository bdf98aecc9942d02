// sbom alone: it writes the list of what a binary is made of.
module github.com/gatehouse-auth/gatehouse/tools/sbom

go 1.26

require github.com/CycloneDX/cyclonedx-go v0.12.0
