package render

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/inhaul/inhaul/spec"
)

// volumes are the folders of a pod: empty at its start, or a claim. Nothing else
// can be had, of the node's own folders least of all.
func (s service) volumes() ([]corev1.Volume, error) {
	var volumes []corev1.Volume
	taken := map[string]string{}
	for _, v := range s.Volumes {
		volume := corev1.Volume{Name: label(v.Name)}
		if other, ok := taken[volume.Name]; ok {
			return nil, fmt.Errorf("volumes %q and %q would both be named %q: rename one", other, v.Name, volume.Name)
		}
		taken[volume.Name] = v.Name
		switch {
		case v.Claim != "":
			volume.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: v.Claim}
		case v.Size != "":
			size, err := resource.ParseQuantity(v.Size)
			if err != nil {
				return nil, fmt.Errorf("volume %q: reading size %q: %w", v.Name, v.Size, err)
			}
			volume.EmptyDir = &corev1.EmptyDirVolumeSource{SizeLimit: &size}
		default:
			volume.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
		volumes = append(volumes, volume)
	}
	return volumes, nil
}

func (s service) mounts() []corev1.VolumeMount {
	var mounts []corev1.VolumeMount
	for _, v := range s.Volumes {
		mounts = append(mounts, corev1.VolumeMount{Name: label(v.Name), MountPath: v.Path})
	}
	return mounts
}

// claims reports whether the service keeps a PersistentVolumeClaim.
func (s service) claims() bool {
	return slices.ContainsFunc(s.Volumes, func(v spec.Volume) bool { return v.Claim != "" })
}
