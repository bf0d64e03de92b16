package render

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/inhaul/inhaul/spec"
)

// drainSeconds is from a pod's end being decided to SIGTERM: every kube-proxy
// and load balancer has to hear of it first. A pod that still serves meanwhile
// answers what is under way.
const drainSeconds = 5

// pod is what a pod of the service looks like. It names nothing that changes
// from release to release without a change of content.
func (s service) pod() (corev1.PodSpec, error) {
	container, err := s.container()
	if err != nil {
		return corev1.PodSpec{}, err
	}
	volumes, err := s.volumes()
	if err != nil {
		return corev1.PodSpec{}, err
	}
	grace := seconds(s.GracePeriod())
	if container.Lifecycle != nil {
		grace += drainSeconds // the drain counts against the grace period
	}
	return corev1.PodSpec{
		Containers:                    []corev1.Container{container},
		Volumes:                       volumes,
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false), // else every Service of the namespace leaks into the env
		TerminationGracePeriodSeconds: &grace,
		SecurityContext:               s.securityContext(),
	}, nil
}

// securityContext holds the pod to the user of its image where that is known not
// to be root.
//
// Where the image names its user ("node") nothing is said: the kubelet knows
// users by number alone, cannot tell that node is not root, and would refuse to
// start the container.
func (s service) securityContext() *corev1.PodSecurityContext {
	context := &corev1.PodSecurityContext{
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	user, group, _ := strings.Cut(s.release.App.ImageUser, ":")
	uid, numeric := id(user)
	if !numeric {
		return context
	}
	context.RunAsNonRoot = new(true)
	if s.claims() { // a fresh disk belongs to root, who is not there to write to it
		context.FSGroup = &uid
		if gid, numeric := id(group); numeric {
			context.FSGroup = &gid
		}
		context.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch)
	}
	return context
}

// id reads the number of a user or a group; false if text is a name, or root.
func id(text string) (int64, bool) {
	const bits = 32 // with its sign: the kubelet takes no larger one
	n, err := strconv.ParseInt(text, 10, bits)
	return n, err == nil && n > 0
}

func (s service) container() (corev1.Container, error) {
	resources, err := s.resources()
	if err != nil {
		return corev1.Container{}, err
	}
	from, err := s.envFrom()
	if err != nil {
		return corev1.Container{}, err
	}
	container := corev1.Container{
		Name:         label(s.Name),
		Image:        s.release.Image,
		Command:      s.command(s.Run),
		Env:          s.environment(),
		EnvFrom:      from,
		Resources:    resources,
		VolumeMounts: s.mounts(),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		ReadinessProbe: s.readiness(),
		StartupProbe:   s.startup(),
		LivenessProbe:  s.liveness(),
	}
	if s.Type == spec.Web {
		container.Ports = []corev1.ContainerPort{{
			Name: PortName, ContainerPort: int32(s.Port), Protocol: corev1.ProtocolTCP, //nolint:gosec // because it is a port
		}}
		container.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Sleep: &corev1.SleepAction{Seconds: drainSeconds}, // the kubelet's own: works without a shell in the image
		}}
	}
	return container, nil
}

// envFrom are the service's env and its secrets. No variable is in both.
func (s service) envFrom() ([]corev1.EnvFromSource, error) {
	var from []corev1.EnvFromSource
	if len(s.Env) > 0 {
		from = append(from, corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: s.configMapName()},
		}})
	}
	secret, err := s.secret()
	if err != nil {
		return nil, err
	}
	if secret != "" {
		from = append(from, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret},
		}})
	}
	return from, nil
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

// seconds is d in whole seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
