package ocsp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	// skew is how far the clock of a responder may be from ours.
	skew = 5 * time.Minute

	// maxAge is for how long an answer is believed that does not say it.
	maxAge = time.Hour
)

// parse reads an answer and believes it if it is one to question, if it is of now,
// and if it is signed by the issuer or on its behalf.
func parse(body, question []byte, cert, issuer *x509.Certificate, now time.Time) (*ocsp.Response, error) {
	answer, err := ocsp.ParseResponseForCert(body, cert, nil)
	if err != nil {
		return nil, err
	}
	if err := checkSigner(answer, issuer, now); err != nil {
		return nil, err
	}
	if err := checkSubject(answer, question); err != nil {
		return nil, err
	}
	switch {
	case answer.ThisUpdate.After(now.Add(skew)):
		return nil, fmt.Errorf("the answer is not valid before %s", answer.ThisUpdate.UTC().Format(time.RFC3339))
	case expiry(answer).Before(now.Add(-skew)):
		return nil, fmt.Errorf("the answer is out of date since %s", expiry(answer).UTC().Format(time.RFC3339))
	}
	return answer, nil
}

// expiry is until when an answer is believed. Without a nextUpdate there is always
// a newer one (RFC 6960 section 4.2.2.1): an old one was kept by somebody.
func expiry(answer *ocsp.Response) time.Time {
	if answer.NextUpdate.IsZero() {
		return answer.ThisUpdate.Add(maxAge)
	}
	return answer.NextUpdate
}

// checkSigner accepts the issuer and a responder that it has appointed (RFC 6960
// section 4.2.2.2). If the answer holds a certificate, x/crypto has found that its
// key made the signature.
func checkSigner(answer *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	signer := answer.Certificate
	switch {
	case signer == nil:
		if err := answer.CheckSignatureFrom(issuer); err != nil {
			return fmt.Errorf("the answer is not signed by the issuer: %w", err)
		}
	case bytes.Equal(signer.Raw, issuer.Raw):
	case !bytes.Equal(signer.RawIssuer, issuer.RawSubject) || signer.CheckSignatureFrom(issuer) != nil:
		return errors.New("the answer is signed by a responder that the issuer of the certificate does not know")
	case !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("the answer is signed with a certificate that is not for OCSP")
	case now.Before(signer.NotBefore) || now.After(signer.NotAfter):
		return errors.New("the answer is signed with a certificate that is not valid now")
	}
	return nil
}

// responseData is the part of a ResponseData (RFC 6960 section 4.2.1) that x/crypto
// does not show: of which authority the certificates are.
type responseData struct {
	Version     int `asn1:"optional,default:0,explicit,tag:0"`
	ResponderID asn1.RawValue
	ProducedAt  time.Time `asn1:"generalized"`
	Responses   []struct {
		CertID struct {
			Algorithm         pkix.AlgorithmIdentifier
			NameHash, KeyHash []byte
			Serial            *big.Int
		}
	}
}

// checkSubject sees to it that the answer is about a certificate of the issuer in
// question. A serial number alone is no name: a responder that serves several
// authorities says good of the same number of another one.
func checkSubject(answer *ocsp.Response, question []byte) error {
	asked, err := ocsp.ParseRequest(question)
	if err != nil {
		return err
	}
	var data responseData
	if _, err := asn1.Unmarshal(answer.TBSResponseData, &data); err != nil {
		return err
	}
	for _, r := range data.Responses {
		if r.CertID.Serial.Cmp(answer.SerialNumber) != 0 {
			continue
		}
		if bytes.Equal(r.CertID.NameHash, asked.IssuerNameHash) && bytes.Equal(r.CertID.KeyHash, asked.IssuerKeyHash) {
			return nil
		}
		break // x/crypto took the first
	}
	return errors.New("the answer is about a certificate of another issuer")
}
