package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/inhaul/inhaul/lab/layout"
)

// Replica is an agent that runs.
type Replica struct {
	PID      int
	Identity string // in the leader election
	Health   string // address of its health listener; a pod's is in the pod's network
	Leads    bool   // holds the Lease
}

// The ways to choose among the agents, besides a number from 1.
const (
	Leader = "leader" // who holds the Lease; with one agent, that one
	All    = "all"
)

// KillAgent kills the leading agent with SIGKILL; it is started again by the
// kubelet or what stands for it. An error says that it does not run just now.
func (s *Stage) KillAgent(ctx context.Context) error {
	return s.SignalAgents(ctx, Leader, syscall.SIGKILL)
}

// SignalAgents sends a signal to the agents that which names: Leader, All or a
// number. An error says that there is none just now.
func (s *Stage) SignalAgents(ctx context.Context, which string, signal syscall.Signal) error {
	replicas, err := s.Agents(ctx)
	if err != nil {
		return err
	}
	chosen, err := choose(replicas, which)
	if err != nil {
		return err
	}
	for _, r := range chosen {
		err = errors.Join(err, syscall.Kill(r.PID, signal))
	}
	return err
}

func choose(replicas []Replica, which string) ([]Replica, error) {
	switch which {
	case All:
		if len(replicas) > 0 {
			return replicas, nil
		}
	case Leader:
		if len(replicas) == 1 {
			return replicas, nil
		}
		for _, r := range replicas {
			if r.Leads {
				return []Replica{r}, nil
			}
		}
	default:
		n, err := strconv.Atoi(which)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("got %q, want leader, all or a number from 1", which)
		}
		if n <= len(replicas) {
			return replicas[n-1 : n], nil
		}
	}
	return nil, fmt.Errorf("agent %q does not run just now; %d run", which, len(replicas))
}

// Agents are the agents that run just now, by identity. Whether one leads is
// known only where more than one runs.
func (s *Stage) Agents(ctx context.Context) ([]Replica, error) {
	pids, err := s.pids()
	if err != nil {
		return nil, err
	}
	replicas := make([]Replica, 0, len(pids))
	for _, pid := range pids {
		content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err != nil {
			continue // it has ended just now
		}
		r := Replica{PID: pid}
		for variable := range strings.SplitSeq(string(content), "\x00") {
			switch name, value, _ := strings.Cut(variable, "="); name {
			case "INHAUL_IDENTITY":
				r.Identity = value
			case "INHAUL_HEALTH_ADDR":
				r.Health = value
			}
		}
		replicas = append(replicas, r)
	}
	slices.SortFunc(replicas, func(a, b Replica) int { return strings.Compare(a.Identity, b.Identity) })
	if len(replicas) < 2 {
		return replicas, nil
	}
	holder, err := s.Kubectl(ctx, "", "-n", agentNamespace, "get", "lease", "inhaul-agent", "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}")
	if err != nil {
		return nil, err
	}
	for i := range replicas {
		replicas[i].Leads = replicas[i].Identity == strings.TrimSpace(holder)
	}
	return replicas, nil
}

// pids finds the agents' processes. A pod's is found by its command line among
// those of the node's cgroup, so that no other process can be meant.
func (s *Stage) pids() ([]int, error) {
	if !s.InCluster() {
		return s.processIDs()
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || isAgent(pid, "/inhaul-agent") != nil {
			continue
		}
		cgroup, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cgroup"))
		if err == nil && strings.Contains(string(cgroup), layout.Cgroup) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// processIDs are those of agents that run beside the cluster.
func (s *Stage) processIDs() ([]int, error) {
	files, err := filepath.Glob(s.agentPID(agentProcess + "*"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended just now
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if isAgent(pid, s.Bin("inhaul-agent")) == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
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
