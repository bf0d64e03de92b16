package render

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/inhaul/inhaul/spec"
)

// How a service rolls.
const (
	revisionHistory         = 10  // old ReplicaSets kept: each makes one rollback a mere scale-up
	progressDeadlineSeconds = 600 // Kubernetes' own default; the agent's verdict comes long before
)

func (s service) deployment() (*appsv1.Deployment, error) {
	pod, err := s.pod()
	if err != nil {
		return nil, err
	}
	pod.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
		s.spread(corev1.LabelHostname), s.spread(corev1.LabelTopologyZone),
	}
	meta := s.meta(s.object)
	meta.Annotations = s.releaseAnnotations()
	replicas := s.Replicas
	if s.Scale.Scales() {
		replicas = s.Scale.Min
		meta.Annotations[AnnotationScale] = strconv.Itoa(s.Scale.Min) + "-" + strconv.Itoa(s.Scale.Max)
	}
	if s.release.Asleep { // which switches a HorizontalPodAutoscaler off, and has nothing kept of what it has done
		replicas = 0
		delete(meta.Annotations, AnnotationScale)
	}
	return &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas:                new(int32(replicas)),
			RevisionHistoryLimit:    new(int32(revisionHistory)),
			ProgressDeadlineSeconds: new(int32(progressDeadlineSeconds)),
			Selector:                &metav1.LabelSelector{MatchLabels: s.selector()},
			Strategy:                s.strategy(),
			Template:                corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: s.labels}, Spec: pod},
		},
	}, nil
}

// strategy is to have new pods ready before old ones go.
//
// The only pod of a service that keeps a claim goes first, though: most claims
// can be used from one node at a time, so a new pod on another node would wait
// for the old one for ever; and where they can be shared, two processes that
// each believe to be alone would write to one folder. A service with several
// pods shares its claim anyway.
func (s service) strategy() appsv1.DeploymentStrategy {
	if s.claims() && !s.severalPods() {
		return appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	none, quarter := intstr.FromInt32(0), intstr.FromString("25%") // of surge, rounded up: at least one pod
	return appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &quarter},
	}
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

// environment is what the container gets beyond env and secrets of the app.
func (s service) environment() []corev1.EnvVar {
	if s.Type != spec.Web {
		return nil
	}
	return []corev1.EnvVar{{Name: "PORT", Value: strconv.Itoa(s.Port)}}
}
