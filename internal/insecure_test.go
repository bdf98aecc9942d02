package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// V12.3.2: no TLS client of ours leaves its server's certificate unchecked. What a setting
// asks for (sslmode=require) the driver of PostgreSQL does, and production warns of it.
func TestASVS_V12_3_2_NobodySkipsTheCheckOfACertificate(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), "Insecure"+"SkipVerify") {
			t.Errorf("%s switches the check off", path)
		}
		return err
	})
	if err != nil || files < 200 {
		t.Errorf("%d files, %v", files, err)
	}
}
