package convert

import "io/fs"

// Present reports whether files has a manifest that Convert reads.
func Present(files fs.FS) bool {
	for _, name := range append([]string{porterFile, procfile}, serverlessFiles()...) {
		if info, err := fs.Stat(files, name); err == nil && !info.IsDir() {
			return true
		}
	}
	return false
}
