package render

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/inhaul/inhaul/spec"
)

// How the kubelet asks. Readiness and startup are asked every second, which
// makes the verdict quick; a slow answer only counts after three seconds, three
// times in a row. A command is a process of its own, which may cost more than the
// service itself: it is asked less often and may take longer.
const (
	probePeriodSeconds    = 1
	probeTimeoutSeconds   = 3
	probeFailureThreshold = 3
	livenessPeriodSeconds = 10 // a restart is drastic: half a minute of silence first
	commandPeriodSeconds  = 5
	commandTimeoutSeconds = 5
)

// readiness asks what the service says to ask; without a word, a web service is
// ready when its port accepts a connection.
func (s service) readiness() *corev1.Probe {
	return s.probe(s.readinessCheck(), probePeriodSeconds)
}

func (s service) readinessCheck() spec.Check {
	if s.Health.Check.IsZero() && s.Type == spec.Web {
		return spec.Check{TCP: true}
	}
	return s.Health.Check
}

// liveness is asked only for a service that says so: starting a process anew
// because it is slow makes a bad moment worse.
func (s service) liveness() *corev1.Probe {
	return s.probe(s.Health.Liveness, livenessPeriodSeconds)
}

// startup keeps the other probes away until the process has started once, or the
// time for that is over.
func (s service) startup() *corev1.Probe {
	limit, err := time.ParseDuration(s.Health.Startup)
	if err != nil || limit <= 0 {
		return nil
	}
	check := s.Health.Liveness
	if check.IsZero() {
		check = s.readinessCheck()
	}
	probe := s.probe(check, probePeriodSeconds)
	if probe != nil {
		period := time.Duration(probe.PeriodSeconds) * time.Second
		probe.FailureThreshold = int32((limit + period - 1) / period) //nolint:gosec // because spec bounds durations by hours
	}
	return probe
}

// probe asks check every period seconds; nil if there is nothing to ask.
func (s service) probe(check spec.Check, period int32) *corev1.Probe {
	probe := &corev1.Probe{
		PeriodSeconds:    period,
		TimeoutSeconds:   probeTimeoutSeconds,
		FailureThreshold: probeFailureThreshold,
	}
	switch {
	case check.Path != "":
		probe.HTTPGet = &corev1.HTTPGetAction{Path: check.Path, Port: intstr.FromString(PortName), Scheme: corev1.URISchemeHTTP}
	case check.TCP:
		probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromString(PortName)}
	case !check.Command.IsZero():
		probe.Exec = &corev1.ExecAction{Command: s.command(check.Command)}
		probe.PeriodSeconds = max(period, commandPeriodSeconds)
		probe.TimeoutSeconds = commandTimeoutSeconds
	default:
		return nil
	}
	return probe
}
