package agent

import "time"

// Observation is what the cluster shows of a release at one moment. It holds
// only what the verdict needs and no Kubernetes type.
type Observation struct {
	Services []ServiceObservation // one per service of the release
}

// ServiceObservation is one service's part of an Observation.
type ServiceObservation struct {
	Name      string
	Desired   int  // replicas asked for
	Observed  bool // the controller has seen the objects of this release
	Updated   int  // pods made from this release's template
	Old       int  // pods of other templates that nobody has told to end yet
	Endpoints int  // ready endpoints of old pods; only for services with a port
	Pods      []PodObservation
	// Refused is the API server's word when the controller may not make pods
	// (quota, admission); empty if it may.
	Refused      string
	RefusedSince time.Time // zero if that is not known
}

// PodObservation is one new pod.
type PodObservation struct {
	Name               string
	CreatedAt          time.Time
	ScheduledAt        time.Time // when a node took it; zero: none has
	Ready              bool
	ReadyAt            time.Time // last change to Ready, by the kubelet's clock
	Deleting           bool
	Unschedulable      string // the scheduler's message; empty when scheduled
	UnschedulableSince time.Time
	Containers         []ContainerObservation

	Evidence *Evidence // what the cluster told when asked; nil: not asked
}

// begun is when its node could begin with a pod, or since is later.
func (p PodObservation) begun(since time.Time) time.Time {
	return later(since, later(p.CreatedAt, p.ScheduledAt))
}

// ContainerObservation is one container of a new pod.
type ContainerObservation struct {
	Name        string
	Waiting     string // reason, "ImagePullBackOff"; empty if it does not wait
	Message     string // the kubelet's message for Waiting, redacted
	Running     bool
	Restarts    int
	Ended       int       // how often the container has ended, by restarts and states
	ExitCode    int       // of the last end
	EndReason   string    // "OOMKilled", "Error", "Completed", "StartError"
	EndMessage  string    // the runtime's message for the last end, redacted
	EndedAt     time.Time // of the last end; zero if it never ended
	MemoryLimit string    // of the pod, "256Mi"; empty if it has none

	// What the agent remembers from its earlier looks at this rollout.
	EndedBefore  int       // Ended at the first look
	WaitingSince time.Time // when it was first seen to wait for this reason
}

// PredeployObservation is what the cluster shows of the Job of a predeploy, or of
// another command that runs to its end.
type PredeployObservation struct {
	Name      string    // of the Job
	Missing   bool      // there is no such Job: not yet seen, or somebody deleted it
	StartedAt time.Time // zero: not yet
	Succeeded bool
	Failed    bool
	Reason    string           // the Job controller's, "DeadlineExceeded"
	Pods      []PodObservation // those that a deleted Job has left behind too

	Evidence *Evidence // what the cluster told of the Job when asked; nil: not asked
}
