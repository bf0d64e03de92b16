package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/lab/github"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/lifecycle"
	"github.com/inhaul/inhaul/lab/process"
)

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

// agentProcess is the name under which the lab remembers what keeps the first
// agent running; others have their number after it.
const agentProcess = "agent"

// sweepInterval is between two looks of an agent at previews: no story waits for two
// minutes.
const sweepInterval = "2s"

// replicaName is the name of the n-th agent, from 1, among processes and logs.
func replicaName(n int) string {
	if n == 1 {
		return agentProcess
	}
	return agentProcess + "-" + strconv.Itoa(n)
}

// replicas is how many agents there are to be; one if nobody said.
func (s *Stage) replicas() int { return max(1, s.Replicas) }

// StartAgent starts the agents' processes, in place of those that run, and
// returns when they have started; in a cluster the kubelet does that. Each is
// started again whenever it ends, and ends with the lab.
func (s *Stage) StartAgent(ctx context.Context) error {
	if s.InCluster() {
		return nil
	}
	unlock, err := lifecycle.Lock(s.Lab.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	table, err := s.endAgents(ctx)
	if err != nil {
		return err
	}
	for n := 1; n <= s.replicas(); n++ {
		if err := s.startReplica(ctx, table, n); err != nil {
			return err
		}
	}
	return nil
}

// startReplica starts the n-th agent under an identity and a port of its own.
func (s *Stage) startReplica(ctx context.Context, table *process.Table, n int) error {
	name := replicaName(n)
	port, err := layout.FreePort(ctx)
	if err != nil {
		return err
	}
	var app []string
	if !s.NoApp {
		app = []string{"INHAUL_GITHUB_APP_ID=" + strconv.Itoa(github.AppID), "INHAUL_GITHUB_APP_KEY_FILE=" + s.Lab.AppKeyFile()}
	}
	p, err := table.Start(process.Spec{
		Name: name, Path: s.Self, Log: s.Lab.Log(name), Gentle: true,
		Args: []string{"lab", "supervise", "--pid-file", s.agentPID(name), "--", s.Bin("inhaul-agent"), "--kubeconfig", s.agentKubeconfig()},
		Env: append(append(s.Environ(), app...),
			"INHAUL_HEALTH_ADDR=127.0.0.1:"+strconv.Itoa(port), "INHAUL_IDENTITY="+strings.Replace(name, agentProcess, "lab", 1), "INHAUL_GITHUB_API_URL="+s.githubURL(),
			"INHAUL_NAMESPACE="+agentNamespace,
			"INHAUL_LOG_LEVEL=debug", "INHAUL_SWEEP_INTERVAL="+sweepInterval),
	})
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(s.agentPID(name)); err == nil {
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

// agentPID is the file with an agent's process ID; it is there while it runs.
func (s *Stage) agentPID(name string) string { return s.Lab.Path("stage", name+".pid") }

// StopAgent ends the agents' processes for good.
func (s *Stage) StopAgent(ctx context.Context) error {
	if s.InCluster() {
		return nil
	}
	unlock, err := lifecycle.Lock(s.Lab.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = s.endAgents(ctx)
	return err
}

// endAgents returns when neither an agent nor what restarts it runs; callers
// hold the lab's lock.
func (s *Stage) endAgents(ctx context.Context) (*process.Table, error) {
	table, err := process.Open(s.Lab.Processes())
	if err != nil {
		return nil, err
	}
	for _, record := range table.Records() {
		if record.Name != agentProcess && !strings.HasPrefix(record.Name, agentProcess+"-") {
			continue
		}
		if err := table.Stop(ctx, false, record.Name); err != nil {
			return nil, err
		}
		if err := os.Remove(s.agentPID(record.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
			return nil, fmt.Errorf("ending the agent: %w", err)
		}
	}
	return table, nil
}
