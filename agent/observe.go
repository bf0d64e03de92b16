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
	Old       int  // pods of other templates that still run or serve
	Endpoints int  // ready endpoints of old pods; only for services with a port
	Pods      []PodObservation
	// Refused is the API server's word when the controller may not make pods
	// (quota, admission); empty if it may.
	Refused string
}

// PodObservation is one new pod.
type PodObservation struct {
	Name               string
	CreatedAt          time.Time
	Ready              bool
	ReadyAt            time.Time // last change to Ready, by the kubelet's clock
	Deleting           bool
	Unschedulable      string // the scheduler's message; empty when scheduled
	UnschedulableSince time.Time
	Containers         []ContainerObservation
}

// ContainerObservation is one container of a new pod.
type ContainerObservation struct {
	Name       string
	Waiting    string // reason, "ImagePullBackOff"; empty if it does not wait
	Message    string // the kubelet's message for Waiting
	Running    bool
	StartedAt  time.Time
	Restarts   int
	Ended      int    // how often the container has ended, by restarts and states
	ExitCode   int    // of the last end
	EndReason  string // "OOMKilled", "Error", "Completed"
	EndMessage string
	EndedAt    time.Time // of the last end; zero if it never ended
}
