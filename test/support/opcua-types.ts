/** Types of the tests' press that are its own: an enumeration and structures, as a nodeset (OPC UA Part 6 Annex F) for the server to load. */

/** The namespace of these types. */
export const TYPES = 'http://acme.com/UA/Press/Types/';

/** `Phase`: Stopped, Running, Fault. `Axis` has one, a list and a structure of the standard; `Drive` extends it. A `Tool` has a field that may be missing, a `Choice` one of two. */
export const TYPES_NODESET = `<?xml version="1.0" encoding="utf-8"?>
<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd" xmlns:uax="http://opcfoundation.org/UA/2008/02/Types.xsd">
  <NamespaceUris><Uri>${TYPES}</Uri></NamespaceUris>
  <Models>
    <Model ModelUri="${TYPES}" Version="1.0.0" PublicationDate="2026-01-01T00:00:00Z">
      <RequiredModel ModelUri="http://opcfoundation.org/UA/" Version="1.04.0" PublicationDate="2018-01-01T00:00:00Z" />
    </Model>
  </Models>
  <Aliases>
    <Alias Alias="Double">i=11</Alias><Alias Alias="String">i=12</Alias><Alias Alias="Int32">i=6</Alias>
    <Alias Alias="HasSubtype">i=45</Alias><Alias Alias="HasEncoding">i=38</Alias><Alias Alias="HasProperty">i=46</Alias>
    <Alias Alias="HasTypeDefinition">i=40</Alias><Alias Alias="Range">i=884</Alias><Alias Alias="LocalizedText">i=21</Alias>
  </Aliases>
  <UADataType NodeId="ns=1;i=3000" BrowseName="1:Phase">
    <DisplayName>Phase</DisplayName>
    <References>
      <Reference ReferenceType="HasSubtype" IsForward="false">i=29</Reference>
      <Reference ReferenceType="HasProperty">ns=1;i=3100</Reference>
    </References>
    <Definition Name="1:Phase"><Field Name="Stopped" Value="0" /><Field Name="Running" Value="1" /><Field Name="Fault" Value="2" /></Definition>
  </UADataType>
  <UAVariable NodeId="ns=1;i=3100" BrowseName="EnumStrings" ParentNodeId="ns=1;i=3000" DataType="LocalizedText" ValueRank="1" ArrayDimensions="3">
    <DisplayName>EnumStrings</DisplayName>
    <References>
      <Reference ReferenceType="HasTypeDefinition">i=68</Reference>
      <Reference ReferenceType="HasProperty" IsForward="false">ns=1;i=3000</Reference>
    </References>
    <Value>
      <uax:ListOfLocalizedText>
        <uax:LocalizedText><uax:Text>Stopped</uax:Text></uax:LocalizedText>
        <uax:LocalizedText><uax:Text>Running</uax:Text></uax:LocalizedText>
        <uax:LocalizedText><uax:Text>Fault</uax:Text></uax:LocalizedText>
      </uax:ListOfLocalizedText>
    </Value>
  </UAVariable>
${structure(
  3001,
  'Axis',
  'i=22',
  `
      <Field Name="Position" DataType="Double" />
      <Field Name="Name" DataType="String" />
      <Field Name="Trace" DataType="Int32" ValueRank="1" />
      <Field Name="Phase" DataType="ns=1;i=3000" />
      <Field Name="Travel" DataType="Range" />`,
)}
${structure(3002, 'Drive', 'ns=1;i=3001', '<Field Name="Load" DataType="Double" />')}
${structure(3004, 'Tool', 'i=22', '<Field Name="Name" DataType="String" /><Field Name="Wear" DataType="Double" IsOptional="true" />')}
${structure(3005, 'Choice', 'i=12756', '<Field Name="Count" DataType="Int32" /><Field Name="Text" DataType="String" />', ' IsUnion="true"')}
${structure(3003, 'Secret', 'i=22', '<Field Name="Code" DataType="Int32" />')}
</UANodeSet>
`;

function structure(id: number, name: string, base: string, fields: string, kind = ''): string {
  return `  <UADataType NodeId="ns=1;i=${id}" BrowseName="1:${name}">
    <DisplayName>${name}</DisplayName>
    <References>
      <Reference ReferenceType="HasSubtype" IsForward="false">${base}</Reference>
      <Reference ReferenceType="HasEncoding">ns=1;i=${id + 2000}</Reference>
    </References>
    <Definition Name="1:${name}"${kind}>${fields}</Definition>
  </UADataType>
  <UAObject NodeId="ns=1;i=${id + 2000}" BrowseName="Default Binary" SymbolicName="DefaultBinary">
    <DisplayName>Default Binary</DisplayName>
    <References>
      <Reference ReferenceType="HasEncoding" IsForward="false">ns=1;i=${id}</Reference>
      <Reference ReferenceType="HasTypeDefinition">i=76</Reference>
    </References>
  </UAObject>`;
}
