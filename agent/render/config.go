package render

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// configHashLength is how many hex digits name the content of a ConfigMap or of
// a Secret: 40 bits, far more than the few that one service ever keeps at a time.
const configHashLength = 10

// configMap holds the service's env. It is immutable and named by its content,
// so that an old ReplicaSet still finds its own: rolling back brings back the
// configuration too.
func (s service) configMap() *corev1.ConfigMap {
	immutable := true
	return &corev1.ConfigMap{
		ObjectMeta: s.meta(s.configMapName()),
		Immutable:  &immutable,
		Data:       s.Env,
	}
}

func (s service) configMapName() string {
	return s.object + "-env-" + ConfigHash(s.Env)
}

// ConfigHash names the content of a ConfigMap.
func ConfigHash(data map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(data)) {
		parts = append(parts, key, data[key])
	}
	return hash(configHashLength, parts...)
}
