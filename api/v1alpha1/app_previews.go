package v1alpha1

// PreviewPolicy is what the platform owner allows of previews of pull requests. In templates "{app}"
// stands for the app's name and "{number}" for the number of the pull request.
type PreviewPolicy struct {
	// namespace is the template of the Kubernetes namespace of each. The agent makes
	// it, and neither uses nor deletes one that is there already.
	// +optional
	// +kubebuilder:default="{app}-pr-{number}"
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^([a-z0-9]|\{app\}|\{number\})([-a-z0-9]|\{app\}|\{number\})*$`
	// +kubebuilder:validation:XValidation:rule="self.contains('{number}') && !self.startsWith('kube-') && !self.endsWith('-')",message="the namespace of a preview has {number} in it, is not one of Kubernetes itself and does not end with a dash"
	Namespace string `json:"namespace,omitempty"`
	// host is the template of the host name of a preview's public services, such as
	// "pr-{number}.{app}.preview.example.com". Absent: none is reached from outside.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]|\{app\}|\{number\})([-a-z0-9.]|\{app\}|\{number\})*([a-z0-9]|\{app\}|\{number\})$`
	// +kubebuilder:validation:XValidation:rule="self.contains('{number}')",message="the host of a preview has {number} in it"
	Host string `json:"host,omitempty"`
	// url is the template of where a preview answers; it is linked from checks.
	// Absent: https:// and the host.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^\s]+$`
	URL string `json:"url,omitempty"`
	// routing is how the cluster lets traffic in to public services.
	// +optional
	Routing Routing `json:"routing,omitzero"`
	// quota is what all pods of a preview may request together.
	// +optional
	// +kubebuilder:default={}
	Quota Quota `json:"quota,omitzero"`
	// max is how many previews the app may have at the same time.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=500
	Max int `json:"max,omitempty"`
	// drift is what is done when somebody else changes what a release has made; see
	// that of environments. Absent: revert.
	// +optional
	// +kubebuilder:validation:Enum=revert;report
	Drift string `json:"drift,omitempty"`
}

// Quota is what all pods of a preview may request together. Pods of the old and the
// new release count while one takes the place of the other.
type Quota struct {
	// cpu is the sum of the requests.
	// +optional
	// +kubebuilder:default="4"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?m?$`
	CPU string `json:"cpu,omitempty"`
	// memory is the sum of the requests, and that of the limits.
	// +optional
	// +kubebuilder:default="8Gi"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?([KMGT]i?|k)?$`
	Memory string `json:"memory,omitempty"`
	// pods is the number of pods that have not ended.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Pods int `json:"pods,omitempty"`
}
