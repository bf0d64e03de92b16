package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/inhaul/inhaul/lab/github"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/lifecycle"
	"github.com/inhaul/inhaul/lab/process"
)

// agentNamespace is where deploy/ installs the agent.
const agentNamespace = "inhaul"

// InCluster reports whether the agent runs as a pod. On simulated nodes, and
// where no BuildKit can build its image, it is a process with the same service
// account.
func (s *Stage) InCluster() bool { return s.Lab.Mode == layout.Real && s.Lab.Programs.Buildx != "" }

// InstallAgent installs the agent from the manifests in deploy/, and returns
// when it leads. It may be called again with a newer build.
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
	for _, crd := range []string{"apps.inhaul.dev", "releases.inhaul.dev"} {
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
		replicas = 1
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
		"config.yaml":        fmt.Sprintf(config, s.githubURL(), github.AppID),
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

const config = `apiVersion: v1
kind: ConfigMap
metadata: {name: inhaul-agent}
data:
  INHAUL_GITHUB_API_URL: %q
  INHAUL_GITHUB_APP_ID: "%d"
  INHAUL_GITHUB_APP_KEY_FILE: /etc/inhaul/agent/github-app.pem
  SSL_CERT_FILE: /lab/ca/ca.crt
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

// startProcess runs the agent beside the cluster with a token of its service
// account, so that its permissions are those of the manifests.
func (s *Stage) startProcess(ctx context.Context) error {
	token, err := s.Kubectl(ctx, "", "-n", agentNamespace, "create", "token", "inhaul-agent", "--duration=24h")
	if err != nil {
		return err
	}
	config, err := s.Kubectl(ctx, "", "config", "view", "--raw", "--minify", "-o", "json")
	if err != nil {
		return err
	}
	var kubeconfig map[string]any
	if err := json.Unmarshal([]byte(config), &kubeconfig); err != nil {
		return err
	}
	users, _ := kubeconfig["users"].([]any)
	if len(users) != 1 {
		return errors.New("the lab's kubeconfig has to have one user")
	}
	users[0].(map[string]any)["user"] = map[string]any{"token": strings.TrimSpace(token)}
	data, err := json.Marshal(kubeconfig)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.agentKubeconfig(), data, 0o600); err != nil {
		return err
	}
	return s.StartAgent(ctx)
}

func (s *Stage) agentKubeconfig() string { return s.Lab.Path("stage", "agent.kubeconfig") }

// agentProcess is the name under which the lab remembers what keeps the agent
// running.
const agentProcess = "agent"

// StartAgent starts the agent's process, in place of one that runs, and returns
// when it has started; in a cluster the kubelet does that. It is started again
// whenever it ends, and ends with the lab.
func (s *Stage) StartAgent(ctx context.Context) error {
	if s.InCluster() {
		return nil
	}
	unlock, err := lifecycle.Lock(s.Lab.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	table, err := s.endAgent(ctx)
	if err != nil {
		return err
	}
	p, err := table.Start(process.Spec{
		Name: agentProcess, Path: s.Self, Log: s.Lab.Log("agent"), Gentle: true,
		Args: []string{"lab", "supervise", "--pid-file", s.agentPID(), "--", s.Bin("inhaul-agent"), "--kubeconfig", s.agentKubeconfig()},
		Env: append(s.Environ(),
			"INHAUL_HEALTH_ADDR=-", "INHAUL_IDENTITY=lab", "INHAUL_GITHUB_API_URL="+s.githubURL(),
			"INHAUL_GITHUB_APP_ID="+strconv.Itoa(github.AppID), "INHAUL_GITHUB_APP_KEY_FILE="+s.Lab.AppKeyFile(), "INHAUL_NAMESPACE="+agentNamespace,
			"INHAUL_LOG_LEVEL=debug"),
	})
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(s.agentPID()); err == nil {
			return nil
		}
		select {
		case err := <-p.Exited:
			return fmt.Errorf("starting the agent: %w; the end of %s:\n%s", err, p.Log, process.Tail(p.Log))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// agentPID is the file with the agent's process ID; it is there while it runs.
func (s *Stage) agentPID() string { return s.Lab.Path("stage", "agent.pid") }

// StopAgent ends the agent's process for good.
func (s *Stage) StopAgent(ctx context.Context) error {
	if s.InCluster() {
		return nil
	}
	unlock, err := lifecycle.Lock(s.Lab.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = s.endAgent(ctx)
	return err
}

// endAgent returns when neither the agent nor what restarts it runs; callers
// hold the lab's lock.
func (s *Stage) endAgent(ctx context.Context) (*process.Table, error) {
	table, err := process.Open(s.Lab.Processes())
	if err != nil {
		return nil, err
	}
	if err := table.Stop(ctx, false, agentProcess); err != nil {
		return nil, err
	}
	if err := os.Remove(s.agentPID()); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
		return nil, fmt.Errorf("ending the agent: %w", err)
	}
	return table, nil
}

// KillAgent kills the agent with SIGKILL; it is started again by the kubelet or
// what stands for it. An error says that it does not run just now.
func (s *Stage) KillAgent() error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// pid finds the agent. A pod's process is found by its command line among those
// of the node's cgroup, so that no other process can be meant.
func (s *Stage) pid() (int, error) {
	if !s.InCluster() {
		data, err := os.ReadFile(s.agentPID())
		if err != nil {
			return 0, err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			return 0, err
		}
		return pid, isAgent(pid, s.Bin("inhaul-agent"))
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || isAgent(pid, "/inhaul-agent") != nil {
			continue
		}
		cgroup, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cgroup"))
		if err == nil && strings.Contains(string(cgroup), layout.Cgroup) {
			return pid, nil
		}
	}
	return 0, errors.New("the agent does not run just now")
}

func isAgent(pid int, program string) error {
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return err
	}
	words := strings.Split(string(cmdline), "\x00") // a script's come after its interpreter
	if !slices.Contains(words[:min(len(words), 2)], program) {
		return fmt.Errorf("process %d is %q, not the agent", pid, words[0])
	}
	return nil
}
