package render

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/inhaul/inhaul/spec"
)

// How a service rolls and stops.
const (
	revisionHistory         = 10  // old ReplicaSets kept: each makes one rollback a mere scale-up
	progressDeadlineSeconds = 600 // Kubernetes' own default; the agent's verdict comes long before
	graceSeconds            = 30  // from SIGTERM to SIGKILL, Kubernetes' own default
	// drainSeconds is from a pod's end being decided to SIGTERM: every kube-proxy
	// and load balancer has to hear of it first. A pod that still serves meanwhile
	// answers what is under way.
	drainSeconds = 5
)

// How readiness is asked for. Asking every second makes the verdict quick; a
// slow answer only counts after three seconds, three times in a row.
const (
	probePeriodSeconds    = 1
	probeTimeoutSeconds   = 3
	probeFailureThreshold = 3
)

func (s service) deployment() (*appsv1.Deployment, error) {
	pod, err := s.pod()
	if err != nil {
		return nil, err
	}
	none, quarter := intstr.FromInt32(0), intstr.FromString("25%") // of surge, rounded up: at least one pod
	meta := s.meta(s.object)
	meta.Annotations = s.releaseAnnotations()
	return &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas:                new(int32(s.Replicas)), //nolint:gosec // bounded by spec and by the Release's schema
			RevisionHistoryLimit:    new(int32(revisionHistory)),
			ProgressDeadlineSeconds: new(int32(progressDeadlineSeconds)),
			Selector:                &metav1.LabelSelector{MatchLabels: s.selector()},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &quarter},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: s.labels()}, Spec: pod},
		},
	}, nil
}

// pod is what a pod of the service looks like. It names nothing that changes
// from release to release without a change of content.
func (s service) pod() (corev1.PodSpec, error) {
	container, err := s.container()
	if err != nil {
		return corev1.PodSpec{}, err
	}
	grace := int64(graceSeconds)
	if container.Lifecycle != nil {
		grace += drainSeconds // the drain counts against the grace period
	}
	return corev1.PodSpec{
		Containers:                    []corev1.Container{container},
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false), // else every Service of the namespace leaks into the env
		TerminationGracePeriodSeconds: &grace,
		SecurityContext: &corev1.PodSecurityContext{
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{
			s.spread(corev1.LabelHostname), s.spread(corev1.LabelTopologyZone),
		},
	}, nil
}

// spread asks for the pods of one revision to be spread over topology; it never
// keeps a pod from running.
func (s service) spread(topology string) corev1.TopologySpreadConstraint {
	return corev1.TopologySpreadConstraint{
		MaxSkew:           1,
		TopologyKey:       topology,
		WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector:     &metav1.LabelSelector{MatchLabels: s.selector()},
		MatchLabelKeys:    []string{"pod-template-hash"},
	}
}

func (s service) container() (corev1.Container, error) {
	resources, err := s.resources()
	if err != nil {
		return corev1.Container{}, err
	}
	container := corev1.Container{
		Name:      s.containerName(),
		Image:     s.release.Image,
		Command:   command(s.Run),
		Env:       s.environment(),
		Resources: resources,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if len(s.Env) > 0 {
		container.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: s.configMapName()},
		}}}
	}
	if s.Type == spec.Web {
		container.Ports = []corev1.ContainerPort{{
			Name: PortName, ContainerPort: int32(s.Port), Protocol: corev1.ProtocolTCP, //nolint:gosec // a port
		}}
		container.ReadinessProbe = s.readiness()
		container.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Sleep: &corev1.SleepAction{Seconds: drainSeconds}, // the kubelet's own: works without a shell in the image
		}}
	}
	return container, nil
}

// readiness asks the health path, or tries the port where there is none.
func (s service) readiness() *corev1.Probe {
	probe := &corev1.Probe{
		PeriodSeconds:    probePeriodSeconds,
		TimeoutSeconds:   probeTimeoutSeconds,
		FailureThreshold: probeFailureThreshold,
	}
	if s.Health.Path != "" {
		probe.HTTPGet = &corev1.HTTPGetAction{Path: s.Health.Path, Port: intstr.FromString(PortName), Scheme: corev1.URISchemeHTTP}
	} else {
		probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromString(PortName)}
	}
	return probe
}

// resources requests CPU and memory, and limits memory alone: a limit of CPU
// throttles a service while the node idles.
func (s service) resources() (corev1.ResourceRequirements, error) {
	cpu, err := resource.ParseQuantity(s.CPU)
	if err != nil {
		return corev1.ResourceRequirements{}, fmt.Errorf("reading cpu %q: %w", s.CPU, err)
	}
	memory, err := resource.ParseQuantity(s.Memory)
	if err != nil {
		return corev1.ResourceRequirements{}, fmt.Errorf("reading memory %q: %w", s.Memory, err)
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
	}, nil
}
