package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/inhaul/inhaul/lab/github"
	"github.com/inhaul/inhaul/lab/layout"
)

// agentNamespace is where deploy/ installs the agent.
const agentNamespace = "inhaul"

// InCluster reports whether the agent runs as a pod. On simulated nodes, and
// where no BuildKit can build its image, it is a process with the same service
// account.
func (s *Stage) InCluster() bool { return s.Lab.Mode == layout.Real && s.Lab.Programs.Buildx != "" }

// InstallAgent installs the agent from the manifests in deploy/, and returns
// when it runs. It may be called again with a newer build.
func (s *Stage) InstallAgent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	overlay, err := s.overlay(ctx)
	if err != nil {
		return err
	}
	if _, err := s.Kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "-k", overlay); err != nil {
		return err
	}
	for _, crd := range []string{"apps.inhaul.dev", "previews.inhaul.dev", "releases.inhaul.dev", "rollbacks.inhaul.dev"} {
		if _, err := s.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=60s", "crd/"+crd); err != nil {
			return err
		}
	}
	if s.InCluster() {
		_, err = s.Kubectl(ctx, "", "-n", agentNamespace, "rollout", "status", "deployment/inhaul-agent", "--timeout=180s")
		return err
	}
	return s.startProcess(ctx)
}

// overlay writes the kustomization that fits deploy/ to the lab: the image, the
// stand-in's address, credentials, and the sidecar that makes the lab's
// loopback addresses mean the same inside the pod.
func (s *Stage) overlay(ctx context.Context) (string, error) {
	dir := s.Lab.Path("stage", "overlay")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	base, err := filepath.Rel(dir, filepath.Join(s.Source, "deploy"))
	if err != nil {
		return "", err
	}
	image, replicas := "inhaul-agent:lab", 0
	if s.InCluster() {
		replicas = s.replicas()
		if image, err = s.buildImage(ctx); err != nil {
			return "", err
		}
	}
	copies := map[string]string{s.Lab.AppKeyFile(): "github-app.pem", filepath.Join(s.Lab.DockerConfig(), "config.json"): "config.json", s.Lab.CABundle(): "ca.crt"}
	for from, to := range copies {
		data, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o600); err != nil {
			return "", err
		}
	}
	for name, content := range map[string]string{
		"kustomization.yaml": fmt.Sprintf(kustomization, base),
		"config.yaml":        s.config(),
		"patch.yaml":         fmt.Sprintf(patch, replicas, image, s.Lab.SandboxImage, s.loopback(s.Lab.Ports.Registry), s.loopback(s.Lab.Ports.GitHub)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func (s *Stage) githubURL() string { return "http://" + s.Lab.GitHub() }

// loopback forwards a port of the pod's own loopback to the node.
func (s *Stage) loopback(port int) string {
	return fmt.Sprintf("127.0.0.1:%d=%s:%d", port, layout.NodeAddress, port)
}

const kustomization = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: inhaul
resources: [%q]
generatorOptions: {disableNameSuffixHash: true}
secretGenerator:
  - {name: inhaul-agent, files: [github-app.pem]}
  - {name: inhaul-registry, type: kubernetes.io/dockerconfigjson, files: [.dockerconfigjson=config.json]}
configMapGenerator:
  - {name: lab-ca, files: [ca.crt]}
patches:
  - {path: patch.yaml, target: {kind: Deployment, name: inhaul-agent}}
  - {path: config.yaml, target: {kind: ConfigMap, name: inhaul-agent}}
`

// config has the agent's settings in a cluster.
func (s *Stage) config() string {
	content := fmt.Sprintf(config, s.githubURL())
	if !s.NoApp {
		content += fmt.Sprintf(configApp, github.AppID)
	}
	return content
}

const config = `apiVersion: v1
kind: ConfigMap
metadata: {name: inhaul-agent}
data:
  INHAUL_GITHUB_API_URL: %q
  SSL_CERT_FILE: /lab/ca/ca.crt
`

const configApp = `  INHAUL_GITHUB_APP_ID: "%d"
  INHAUL_GITHUB_APP_KEY_FILE: /etc/inhaul/agent/github-app.pem
`

const patch = `apiVersion: apps/v1
kind: Deployment
metadata: {name: inhaul-agent}
spec:
  replicas: %d
  template:
    spec:
      containers:
        - name: agent
          image: %s
          volumeMounts:
            - {name: lab-ca, mountPath: /lab/ca}
      initContainers:
        - name: lab-loopback # before the agent, and for as long as it
          image: %s
          restartPolicy: Always
          command: [/sandbox, forward, %q, %q]
          securityContext: {runAsNonRoot: true, runAsUser: 65532, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
      volumes:
        - {name: lab-ca, configMap: {name: lab-ca}}
`

// buildImage builds the agent's image with our Dockerfile, around the binary
// that Build made, and returns it by digest.
func (s *Stage) buildImage(ctx context.Context) (string, error) {
	stage := s.Lab.Path("stage", "image")
	if err := os.MkdirAll(stage, 0o755); err != nil {
		return "", err
	}
	for from, to := range map[string]string{s.Bin("inhaul-agent"): "inhaul-agent", s.Lab.CABundle(): "ca-certificates.crt"} {
		data, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(stage, to), data, 0o755); err != nil {
			return "", err
		}
	}
	repository := s.Lab.Registry() + "/inhaul/agent"
	metadata := filepath.Join(stage, "..", "image.json")
	build := exec.CommandContext(ctx, s.Lab.Programs.Buildx, "build", "--push", "--provenance=false", "--metadata-file", metadata,
		"--build-context", "build="+stage, "-t", repository+":cache-lab", s.Source)
	build.Env = s.Environ()
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent's image: %w\n%s", err, output)
	}
	data, err := os.ReadFile(metadata)
	if err != nil {
		return "", err
	}
	var built struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(data, &built); err != nil || built.Digest == "" {
		return "", fmt.Errorf("building the agent's image: no digest in %s", metadata)
	}
	return repository + "@" + built.Digest, nil
}
