package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// manifests runs tools/manifests on a folder with compose/ and kubernetes/.
func manifests(folder string) (string, error) {
	c := exec.Command("go", "-C", proctest.File("tools/manifests"), "run", ".", folder)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := c.CombinedOutput()
	return string(out), err
}

// copied is a copy of deploy/ that a test may change, with the files that setup makes.
func copied(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "deploy")
	run(t, "cp", "-r", proctest.File("deploy"), folder)
	return folder
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// change replaces a text in a file, which must have it.
func change(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %q: %v", path, from, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The manifests are what Kubernetes' own types and Compose's own schema take; a field with
// another name is found.
func TestTheManifestsAreUnderstood(t *testing.T) {
	deploy := copied(t)
	out, err := manifests(deploy)
	if err != nil {
		t.Fatal(out)
	}
	restricted(t, out)
	for file, wrong := range map[string][2]string{
		"kubernetes/deployment.yaml":    {"readOnlyRootFilesystem", "readOnlyRootFileSystem"},
		"kubernetes/networkpolicy.yaml": {"policyTypes", "policyTypez"},
		"kubernetes/migration.yaml":     {"batch/v1", "batch/v2"},
		"compose/compose.yaml":          {"cap_drop", "cap_drops"},
	} {
		path := filepath.Join(deploy, file)
		change(t, path, wrong[0], wrong[1])
		if out, err := manifests(deploy); err == nil || !strings.Contains(out, filepath.Base(file)) && !strings.Contains(out, wrong[1]) {
			t.Errorf("%s with %s: %v %.500s", file, wrong[1], err, out)
		}
		change(t, path, wrong[1], wrong[0])
	}
}

type pod struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Template struct {
			Spec struct {
				AutomountServiceAccountToken *bool
				HostNetwork, HostPID         bool
				SecurityContext              struct {
					RunAsNonRoot   bool
					RunAsUser      int
					SeccompProfile struct{ Type string }
				}
				Volumes    []map[string]any
				Containers []struct {
					Name                                        string
					StartupProbe, LivenessProbe, ReadinessProbe *struct{ Exec struct{ Command []string } }
					Env                                         []struct{ Name, Value string }
					SecurityContext                             struct {
						AllowPrivilegeEscalation *bool
						ReadOnlyRootFilesystem   bool
						Capabilities             struct{ Drop []string }
					}
				}
			}
		}
	}
}

// restricted holds every pod against the restricted profile of the Pod Security Standards, and
// sees to it that no secret comes in a variable.
func restricted(t *testing.T, all string) {
	t.Helper()
	pods := 0
	for document := range strings.SplitSeq(all, "---\n") {
		var p pod
		if err := yaml.Unmarshal([]byte(document), &p); err != nil {
			t.Fatal(err)
		}
		if p.Kind != "Deployment" && p.Kind != "Job" {
			continue
		}
		pods++
		s := p.Spec.Template.Spec
		if !s.SecurityContext.RunAsNonRoot || s.SecurityContext.RunAsUser != 65532 || s.SecurityContext.SeccompProfile.Type != "RuntimeDefault" ||
			s.HostNetwork || s.HostPID || s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken {
			t.Errorf("%s is not restricted: %+v", p.Metadata.Name, s.SecurityContext)
		}
		for _, c := range s.Containers {
			if c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation || !c.SecurityContext.ReadOnlyRootFilesystem ||
				!slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}) {
				t.Errorf("the container %s is not restricted: %+v", c.Name, c.SecurityContext)
			}
			for _, e := range c.Env {
				if !strings.HasSuffix(e.Name, "_FILE") {
					t.Errorf("%s is set by a variable", e.Name)
				}
			}
			if p.Kind == "Deployment" && (c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil) {
				t.Errorf("the container %s lacks a probe", c.Name)
			}
		}
		for _, v := range s.Volumes {
			if v["hostPath"] != nil {
				t.Errorf("%s mounts a folder of its host", p.Metadata.Name)
			}
		}
	}
	if pods != 2 {
		t.Errorf("%d pods were looked at", pods)
	}
}

// Whatever lies in the folder is named by kustomization.yaml, and the other way round; no
// secret is among it.
func TestKustomizationNamesAll(t *testing.T) {
	var k struct {
		Resources          []string
		SecretGenerator    []struct{ Files []string }
		ConfigMapGenerator []struct{ Envs []string }
	}
	text, err := os.ReadFile(proctest.File("deploy/kubernetes/kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &struct {
		APIVersion         string           `json:"apiVersion"`
		Kind               string           `json:"kind"`
		Namespace          string           `json:"namespace"`
		Resources          []string         `json:"resources"`
		SecretGenerator    []map[string]any `json:"secretGenerator"`
		ConfigMapGenerator []map[string]any `json:"configMapGenerator"`
		Images             []map[string]any `json:"images"`
	}{}); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(proctest.File("deploy/kubernetes/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range files {
		there[filepath.Base(f)] = true
	}
	delete(there, "kustomization.yaml")
	for _, r := range k.Resources {
		if !there[r] {
			t.Errorf("%s is named and not there", r)
		}
		delete(there, r)
	}
	if len(there) > 0 {
		t.Errorf("kustomization.yaml does not name %v", there)
	}
	generated := 0
	for _, g := range k.SecretGenerator {
		for _, f := range g.Files {
			generated++
			if !strings.HasPrefix(f, "secrets/") {
				t.Errorf("the secret %s is not in the folder that git does not know", f)
			}
		}
	}
	ignored, err := os.ReadFile(proctest.File("deploy/kubernetes/.gitignore"))
	if err != nil || string(ignored) != "/secrets/\n" || generated != 5 {
		t.Errorf("%d secrets; git ignores %q", generated, ignored)
	}
}

// The unit is well-formed, and as confined as systemd can say: 1.5 at most, of 10.
func TestTheUnit(t *testing.T) {
	unit := proctest.File("deploy/systemd/gatehouse.service")
	said := run(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit)
	if !regexp.MustCompile(`Overall exposure level for gatehouse.service: [01]\.\d OK`).MatchString(said) {
		t.Error(said)
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"LoadCredential=jwt_secret:/etc/gatehouse/jwt_secret", "Environment=JWT_SECRET_KEY_FILE=%d/jwt_secret",
		"RestartPreventExitStatus=78", "User=gatehouse"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the unit has no line %s", line)
		}
	}
}
