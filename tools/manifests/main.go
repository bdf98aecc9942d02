// Command manifests reads the files of deploy/ as those do who take them, and no less strictly:
// manifests FOLDER reads FOLDER/kubernetes/*.yaml into the types of Kubernetes, in which an
// unknown field is an error, and FOLDER/compose/compose.yaml by Compose's own library, schema
// included. It asks no cluster and no daemon: what only these know, it can't check.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	kubejson "sigs.k8s.io/json"
	strict "sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manifests FOLDER")
		os.Exit(64)
	}
	if err := errors.Join(kubernetes(filepath.Join(os.Args[1], "kubernetes")), compose(filepath.Join(os.Args[1], "compose", "compose.yaml"))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// kinds are the types of what we deploy.
var kinds = map[string]func() any{
	"v1 Namespace":                           func() any { return &corev1.Namespace{} },
	"v1 ServiceAccount":                      func() any { return &corev1.ServiceAccount{} },
	"v1 Service":                             func() any { return &corev1.Service{} },
	"apps/v1 Deployment":                     func() any { return &appsv1.Deployment{} },
	"batch/v1 Job":                           func() any { return &batchv1.Job{} },
	"networking.k8s.io/v1 Ingress":           func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"policy/v1 PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
}

func kubernetes(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no manifests", folder)
	}
	for _, f := range files {
		if filepath.Base(f) != "kustomization.yaml" { // a kind of kustomize's own
			err = errors.Join(err, documents(f))
		}
	}
	return err
}

// documents reads each document of a file.
func documents(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	r := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = decode(document)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
}

func decode(document []byte) error {
	var of struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := strict.Unmarshal(document, &of); err != nil {
		return err
	}
	made, known := kinds[of.APIVersion+" "+of.Kind]
	if !known {
		return fmt.Errorf("there is no kind %q of %q", of.Kind, of.APIVersion)
	}
	text, err := strict.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	// Kubernetes' own reading of JSON, in which capitals matter: sigs.k8s.io/yaml alone takes readonlyrootfilesystem.
	object := made()
	wrong, err := kubejson.UnmarshalStrict(text, object)
	if err := errors.Join(append(wrong, err)...); err != nil {
		return err
	}
	again, err := strict.Marshal(object)
	if err == nil {
		fmt.Printf("---\n%s\n", bytes.TrimSpace(again))
	}
	return err
}

// compose loads the project, which checks it by Compose's schema and for what it refers to.
func compose(file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv([]string{"GATEHOUSE_HOST=auth.gatehouse.test", "GATEHOUSE_VERSION=0.1.0"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	text, err := project.MarshalJSON()
	if err == nil {
		fmt.Printf("---\n%s\n", text)
	}
	return err
}
