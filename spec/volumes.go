package spec

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

var claimShape = regexp.MustCompile(claimPattern)

// claimPattern is that of a DNS subdomain (RFC 1123).
const claimPattern = `^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`

func volumeLevel() level[Volume] {
	return level[Volume]{"volume", "A folder that outlives a container: empty at a pod's start, or an existing PersistentVolumeClaim.", []key[Volume]{
		to("path", textIn("absolute path", `^/.`, checkMount), func(v *Volume) *string { return &v.Path }).
			says("Where it is, in the container. It has to be said.", "", "path: /cache"),
		to("size", memory(), func(v *Volume) *string { return &v.Size }).
			says("Most that the empty folder may hold.", "what the node has", "path: /cache\nsize: 1Gi"),
		to("claim", textIn("name of a PersistentVolumeClaim", claimPattern, checkClaim), func(v *Volume) *string { return &v.Claim }).
			says("A PersistentVolumeClaim of the environment's namespace, instead of an empty folder.", "", "path: /data\nclaim: shop-data"),
	}}
}

// checkMount returns the path of a folder that may be put into a container.
func checkMount(text string) (string, error) {
	clean := path.Clean(text)
	if !path.IsAbs(text) || strings.ContainsAny(text, ":\\\r\n") {
		return "", fmt.Errorf("want an absolute path such as /cache, got %s", quoted(text))
	}
	for _, taken := range []string{"/proc", "/sys", "/dev"} {
		if clean == "/" || clean == taken || strings.HasPrefix(clean, taken+"/") {
			return "", fmt.Errorf("%s belongs to the system, want another path", quoted(clean))
		}
	}
	return clean, nil
}

func checkClaim(text string) (string, error) {
	if len(text) > 253 || !claimShape.MatchString(text) {
		return "", fmt.Errorf("want the name of a PersistentVolumeClaim, got %s", quoted(text))
	}
	return text, nil
}

func (v Volume) with(over Volume) Volume {
	if over.Claim != "" {
		v.Size = ""
	}
	if over.Size != "" {
		v.Claim = ""
	}
	return Volume{Path: said(v.Path, over.Path), Size: said(v.Size, over.Size), Claim: said(v.Claim, over.Claim)}
}

func volumeProblems(volumes map[string]Volume) []problem {
	var all []problem
	at := make(map[string]string)
	for _, name := range sortedKeys(volumes) {
		v, place := volumes[name], "volumes/"+name
		if v.Size != "" && v.Claim != "" {
			all = append(all, problem{"size: not with claim, which has a size", []string{place + "/size"}, ""})
		}
		if v.Path == "" {
			all = append(all, problem{fmt.Sprintf("volume %q: key \"path\" is missing", name), []string{place}, place + "/path"})
			continue
		}
		if other, taken := at[v.Path]; taken {
			all = append(all, problem{fmt.Sprintf("path: %s is where volume %q is", v.Path, other), []string{place + "/path"}, ""})
		}
		at[v.Path] = name
	}
	return all
}

// sortedVolumes returns the volumes by name.
func sortedVolumes(volumes map[string]Volume) []Volume {
	var all []Volume
	for _, name := range sortedKeys(volumes) {
		v := volumes[name]
		v.Name = name
		all = append(all, v)
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
